//! Weights that would run code when they are loaded. Seatrial loads none of them, and says so at the door.

use super::Defect;

/// How much of the beginning of a file is looked at.
pub(super) const HEAD: u64 = 512;

/// Extensions of formats that are pickles or may hold them.
const EXTENSIONS: [&str; 10] =
    ["pkl", "pickle", "pck", "joblib", "dill", "cloudpickle", "pt", "pth", "ckpt", "mar"];

/// Whether this file is a pickle, by its name or its first bytes.
pub(super) fn check(path: &str, head: &[u8]) -> Option<Defect> {
    let extension = path.rsplit_once('.').map(|(_, e)| e.to_ascii_lowercase()).unwrap_or_default();
    let what = if EXTENSIONS.contains(&extension.as_str()) {
        format!("a .{extension} file, a format that may hold a Python pickle")
    } else if is_pickle(head) {
        "a Python pickle, by its first bytes".to_owned()
    } else if is_torch_archive(head) {
        "a zip archive with a Python pickle in it".to_owned()
    } else {
        return None;
    };
    Some(
        Defect::new(path, what, "weights that hold numbers and no code")
            .fix("loading a pickle runs whatever is in it, so none is ever loaded; export the model to ONNX (skl2onnx, torch.onnx.export, onnxmltools)"),
    )
}

/// A pickle of protocol 2 to 5: the PROTO opcode, the protocol, and an opcode that begins a value. The third byte keeps raw
/// tensors that happen to begin with two such bytes from being refused.
fn is_pickle(head: &[u8]) -> bool {
    match head {
        [0x80, 4 | 5, 0x95, ..] => true,
        [0x80, 2 | 3, opcode, ..] => b"](}{)NKMJIGXUTSBc\x85\x86\x87\x88\x89\x8a\x8b".contains(opcode),
        _ => false,
    }
}

fn is_torch_archive(head: &[u8]) -> bool {
    head.starts_with(b"PK\x03\x04") && head.windows(4).any(|w| w == b".pkl")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pickles_are_known_by_name_and_by_magic() {
        assert!(check("weights/model.joblib", b"").is_some());
        assert!(check("weights/model.PKL", b"").is_some());
        assert!(check("weights/model.onnx", b"\x80\x05\x95\x10\0\0").is_some());
        assert!(check("weights/model.bin", b"\x80\x02}q\x00").is_some());
        assert!(check("weights/model.bin", b"\x80\x02\x8a\x0a\x6c\xfc").is_some());
        assert!(check("weights/pytorch_model.bin", b"PK\x03\x04\0\0\x08\x08archive/data.pklFB").is_some());
    }

    #[test]
    fn graphs_and_raw_tensors_are_not_pickles() {
        assert!(check("weights/model.onnx", b"\x08\x08\x12\x08skl2onnx").is_none());
        assert!(check("weights/model.onnx.data", b"\x80\x02\x00\x3f\x00").is_none());
        assert!(check("weights/vocabulary.zip", b"PK\x03\x04words.txt").is_none());
        assert!(check("weights/empty.bin", b"").is_none());
    }
}
