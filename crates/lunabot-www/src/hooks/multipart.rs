//! Forms as `multipart/form-data` (02.032), which some programs send where others send plain ones.

/// Fields of one form that are read.
const MAX_FIELDS: usize = 1000;

/// Names and values, in their order; empty if it is no such form.
pub fn fields(content_type: &str, body: &[u8]) -> Vec<(String, String)> {
    let Some(boundary) = boundary(content_type) else { return Vec::new() };
    let delimiter = format!("\r\n--{boundary}");
    // The first one may begin the body.
    let mut rest = match body.strip_prefix(&delimiter.as_bytes()[2..]) {
        Some(rest) => rest,
        None => match cut(body, delimiter.as_bytes()) {
            Some((_, rest)) => rest,
            None => return Vec::new(),
        },
    };
    let mut all = Vec::new();
    while all.len() < MAX_FIELDS && !rest.starts_with(b"--") {
        let Some((part, next)) = cut(rest, delimiter.as_bytes()) else { break };
        all.extend(field(part));
        rest = next;
    }
    all
}

fn boundary(content_type: &str) -> Option<&str> {
    let (kind, parameters) = content_type.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    parameter(parameters, "boundary").filter(|boundary| !boundary.is_empty() && boundary.len() <= 70)
}

/// `; NAME=value` or `; NAME="value"`.
fn parameter<'a>(parameters: &'a str, name: &str) -> Option<&'a str> {
    let pairs = parameters.split(';').filter_map(|pair| pair.trim().split_once('='));
    let found = pairs.into_iter().find(|(known, _)| known.trim().eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.trim().trim_matches('"'))
}

/// A part: the end of the delimiter's line, headers, an empty line, the value.
fn field(part: &[u8]) -> Option<(String, String)> {
    let (head, value) = cut(part, b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(head);
    let mut headers = head.lines().filter_map(|line| line.split_once(':'));
    let (_, disposition) =
        headers.find(|(name, _)| name.trim().eq_ignore_ascii_case("content-disposition"))?;
    let name = parameter(disposition, "name")?;
    Some((name.to_owned(), String::from_utf8_lossy(value).into_owned()))
}

/// What stands before the first `mark`, and after it.
fn cut<'a>(text: &'a [u8], mark: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = text.windows(mark.len()).position(|window| window == mark)?;
    Some((&text[..at], &text[at + mark.len()..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_read_and_nonsense_is_none_02_032() {
        let body = "--xx\r\nContent-Disposition: form-data; name=\"who\"\r\n\r\njoe\r\n--xx\r\n\
                    content-type: text/plain\r\ncontent-disposition: form-data; name=\"comments\"; filename=\"a\"\r\n\r\n\
                    a\r\n--x\r\n\r\n--xx--\r\nmore";
        let wanted = [("who", "joe"), ("comments", "a\r\n--x\r\n")];
        let wanted = wanted.map(|(name, value)| (name.to_owned(), value.to_owned()));
        for kind in ["multipart/form-data; boundary=xx", "Multipart/Form-Data;charset=utf-8; Boundary=\"xx\""]
        {
            assert_eq!(fields(kind, body.as_bytes()), wanted, "{kind}");
            assert_eq!(fields(kind, format!("before\r\n{body}").as_bytes()), wanted, "{kind}");
        }
        for (kind, body) in [
            ("multipart/form-data", body),
            ("multipart/form-data; boundary=", body),
            ("multipart/form-data; boundary=yy", body),
            ("multipart/mixed; boundary=xx", body),
            ("multipart/form-data; boundary=xx", ""),
            ("multipart/form-data; boundary=xx", "--xx"),
            ("multipart/form-data; boundary=xx", "--xx--"),
            ("multipart/form-data; boundary=xx", "--xx\r\n\r\nno name\r\n--xx--"),
        ] {
            assert!(fields(kind, body.as_bytes()).is_empty(), "{kind} {body}");
        }
    }
}
