//! A message for the next page, in a cookie. It is shown once.

use axum::{
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

const NAME: &str = "flash=";
/// The header with which the script reads a page in the background.
const BACKGROUND: &str = "x-background";
/// The longest message, in bytes; a browser drops a cookie of more than 4,096.
const LONGEST: usize = 1_000;

/// Sends a browser to another page of the service, which says what was done.
#[must_use]
pub fn redirect(to: &str, message: &str) -> Response {
    let message = &message[..message.floor_char_boundary(LONGEST)];
    let message = utf8_percent_encode(message, NON_ALPHANUMERIC);
    let mut response = (StatusCode::SEE_OTHER, [(header::LOCATION, to)]).into_response();
    set(&mut response, &format!("{NAME}{message}; Max-Age=60"));
    response
}

/// The message for the page that a request asks for.
pub(super) fn read(headers: &HeaderMap) -> Option<String> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|it| it.to_str().ok());
    let message = cookies.flat_map(|it| it.split("; ")).find_map(|it| it.strip_prefix(NAME))?;
    let message = percent_decode_str(message).decode_utf8().ok()?;
    (!message.is_empty()).then(|| message.into_owned())
}

/// Forgets the message once a page has shown it. What the script reads in the background shows no
/// message, and may be read between a form and the page that it leads to.
pub(super) fn forget(headers: &HeaderMap, response: &mut Response) {
    if !headers.contains_key(BACKGROUND)
        && !response.status().is_redirection()
        && read(headers).is_some()
    {
        set(response, &format!("{NAME}; Max-Age=0"));
    }
}

fn set(response: &mut Response, cookie: &str) {
    let cookie = format!("{cookie}; Path=/; HttpOnly; SameSite=Strict");
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_of_any_text_is_read_back_and_forgotten() {
        let text = "Saved \"a; b\"\r\n<script> ä";
        let response = redirect("/ui", text);
        let cookie = response.headers()[header::SET_COOKIE].to_str().unwrap();
        let mut headers = HeaderMap::new();
        let cookie = format!("other=1; {}", cookie.split(';').next().unwrap());
        headers.insert(header::COOKIE, cookie.parse().unwrap());
        assert_eq!(read(&headers).as_deref(), Some(text));
        let mut response = StatusCode::OK.into_response();
        forget(&headers, &mut response);
        let cookie = response.headers()[header::SET_COOKIE].to_str().unwrap();
        assert!(cookie.starts_with("flash=; Max-Age=0"), "{cookie}");
        headers.insert(BACKGROUND, HeaderValue::from_static("1"));
        let mut response = StatusCode::OK.into_response();
        forget(&headers, &mut response);
        assert!(!response.headers().contains_key(header::SET_COOKIE), "nobody has seen it");
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        let response = redirect("/ui", &"ä".repeat(2_000));
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, response.headers()[header::SET_COOKIE].clone());
        assert_eq!(read(&headers), Some("ä".repeat(500)));
    }
}
