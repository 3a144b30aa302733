//! The transfer codings of messages (RFC 9112 section 7).

use http::HeaderMap;
use http::header::TRANSFER_ENCODING;

/// The transfer codings of a message that are not understood here: all but `chunked`, once and alone. hyper decodes no
/// others, and gives a body as it was coded.
pub(super) fn not_understood(headers: &HeaderMap) -> Option<String> {
    let values = headers.get_all(TRANSFER_ENCODING).iter();
    let codings = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b',')).map(<[u8]>::trim_ascii);
    let codings: Vec<_> = codings.filter(|coding| !coding.is_empty()).collect();
    match codings[..] {
        [] => None,
        [coding] if coding.eq_ignore_ascii_case(b"chunked") => None,
        _ => Some(String::from_utf8_lossy(&codings.join(&b", "[..])).into_owned()),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn only_chunked_by_itself_is_understood() {
        for (values, expected) in [
            (&["chunked"][..], None),
            (&[], None),
            (&[""], None),
            (&["Chunked ,"], None),
            (&["gzip"], Some("gzip")),
            (&["gzip,chunked"], Some("gzip, chunked")),
            (&["gzip", "chunked"], Some("gzip, chunked")),
            (&["chunked", "chunked"], Some("chunked, chunked")),
            (&["identity"], Some("identity")),
        ] {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(TRANSFER_ENCODING, HeaderValue::from_static(value));
            }
            assert_eq!(not_understood(&headers).as_deref(), expected, "{values:?}");
        }
    }
}
