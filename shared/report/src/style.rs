//! The style of every page, and the content security policy that allows it and nothing else.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

/// The style sheet, as it stands inside each page: the page's own and the charts'.
pub(crate) const STYLE: &str =
    concat!(include_str!("../templates/style.css"), include_str!("../templates/charts.css"));

/// The `Content-Security-Policy` of every page: no scripts, no frames, nothing from elsewhere; forms go only to the page's
/// own origin; the one style sheet is allowed by its hash.
pub static CONTENT_SECURITY_POLICY: LazyLock<String> = LazyLock::new(|| {
    let hash = STANDARD.encode(Sha256::digest(STYLE.as_bytes()));
    format!(
        "default-src 'none'; style-src 'sha256-{hash}'; img-src data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    )
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_lets_no_script_frame_or_foreign_form_in() {
        let policy = CONTENT_SECURITY_POLICY.as_str();
        for part in ["default-src 'none'", "form-action 'self'", "frame-ancestors 'none'", "base-uri 'none'"]
        {
            assert!(policy.contains(part), "{policy}");
        }
        assert!(!policy.contains("unsafe") && !policy.contains("script-src"), "{policy}");
    }
}
