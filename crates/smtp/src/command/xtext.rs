//! xtext: any bytes in printable ASCII (RFC 3461 §4).

/// The bytes that `text` stands for; `None` when it is no xtext.
///
/// `+` and two hexadecimal digits in upper case stand for a byte; clients that write them in lower
/// case are understood.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [byte, tail @ ..] = rest {
        rest = match (byte, tail) {
            (b'+', [high, low, tail @ ..]) => {
                bytes.push(digit(*high)? << 4 | digit(*low)?);
                tail
            }
            (b'!'..=b'*' | b','..=b'<' | b'>'..=b'~', _) => {
                bytes.push(*byte);
                tail
            }
            _ => return None,
        };
    }
    Some(bytes)
}

/// As [`decode`], where the bytes must be text without control characters.
pub(crate) fn decode_text(text: &str) -> Option<String> {
    let text = String::from_utf8(decode(text)?).ok()?;
    (!text.chars().any(char::is_control)).then_some(text)
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn xtext_is_decoded_and_other_text_refused() {
        assert_eq!(decode("a+3Db+2b").as_deref(), Some(&b"a=b+"[..]));
        assert_eq!(decode(""), Some(Vec::new()));
        for bad in ["a=b", "+3", "+", "+G0", "a b", "ä", "a\t"] {
            assert_eq!(decode(bad), None, "{bad}");
        }
        assert_eq!(decode_text("+C3+A4").as_deref(), Some("ä"));
        assert_eq!(decode_text("+C3"), None, "no UTF-8");
        assert_eq!(decode_text("a+0D+0Ab"), None, "a line end");
    }
}
