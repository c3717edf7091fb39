//! The status page, and its Content-Security-Policy: a browser may run the script of the page,
//! use its style sheet and send requests to this server, and may load nothing from elsewhere.

use std::sync::OnceLock;

use base64ct::{Base64, Encoding};
use ring::digest::{SHA256, digest};

/// The status page. Its script asks for `/status.json`.
pub(super) const PAGE: &str = include_str!("page.html");

/// The Content-Security-Policy of the status page.
pub(super) fn policy() -> &'static str {
    static POLICY: OnceLock<String> = OnceLock::new();
    POLICY.get_or_init(|| {
        format!(
            "default-src 'none'; script-src '{}'; style-src '{}'; connect-src 'self'; \
             img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
            hash("script"),
            hash("style")
        )
    })
}

/// Returns the hash of the text between the tags with this name.
fn hash(tag: &str) -> String {
    let text = PAGE
        .split_once(&format!("<{tag}>"))
        .and_then(|(_, rest)| rest.split_once(&format!("</{tag}>")).map(|(inside, _)| inside));
    let digest = digest(&SHA256, text.unwrap_or_default().as_bytes());
    format!("sha256-{}", Base64::encode_string(digest.as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_comes_from_elsewhere_and_nothing_is_taken_for_html() {
        for tag in ["script", "style"] {
            assert_eq!(PAGE.matches(&format!("<{tag}")).count(), 1);
            assert_eq!(PAGE.matches(&format!("<{tag}>")).count(), 1);
        }
        let svg = PAGE.replace("http://www.w3.org/2000/svg", "");
        for word in [
            "http:",
            "https:",
            "src=",
            "@import",
            "url(",
            "innerHTML",
            "insertAdjacent",
            "eval(",
        ] {
            assert!(!svg.contains(word), "{word}");
        }
        for attribute in ["style=\"", "onclick", "onload"] {
            assert!(!PAGE.contains(attribute), "{attribute}");
        }
    }
}
