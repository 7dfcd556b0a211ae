//! Writes the audit documents of sample promotions into a folder, and says how long each took: `cargo run --example documents -- FOLDER`.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../tests/samples/mod.rs"]
mod samples;

use std::time::Instant;

use samples::Promotion;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let folder = std::path::PathBuf::from(std::env::args().nth(1).expect("a folder"));
    std::fs::create_dir_all(&folder).unwrap();
    let all = [
        ("crowned", Promotion::crowned()),
        ("first", Promotion::first()),
        ("rejected", Promotion::rejected()),
        ("aborted", Promotion::aborted()),
        ("hostile", Promotion::hostile()),
        ("broken", Promotion::crowned()),
    ];
    for (name, promotion) in all {
        let mut files = promotion.files().await;
        if name == "broken" {
            for (path, bytes) in &mut files.evidence {
                if path.starts_with("report-") {
                    bytes[100] ^= 1;
                }
            }
            files.evidence.retain(|path, _| !path.starts_with("evaluation-"));
        }
        let began = Instant::now();
        let document = match seatrial_audit::document(&files, &promotion.keys()) {
            Ok(document) => document,
            Err(e) => {
                println!("{name}: {e}");
                continue;
            }
        };
        let cold = began.elapsed();
        let began = Instant::now();
        assert_eq!(
            seatrial_audit::document(&files, &promotion.keys()).unwrap(),
            document,
            "the same evidence, the same bytes"
        );
        let warm = began.elapsed();
        let envelope = seatrial_audit::sign(&document, &promotion.key).await.unwrap();
        let sealed = seatrial_audit::seal(&document.body, &envelope).unwrap();
        let found = seatrial_audit::verify_pdf(&sealed, &promotion.keys());
        println!(
            "{name}: {} {} KiB, {cold:?}, again {warm:?}; doubt: {:?}",
            document.file_name,
            sealed.len() / 1_024,
            found.doubt()
        );
        std::fs::write(folder.join(format!("{name}.pdf")), sealed).unwrap();
        std::fs::write(folder.join(format!("{name}.pub")), promotion.key.public().to_pem()).unwrap();
    }
}
