//! The style sheet and the script, under names that change with their content, so that browsers
//! keep them for ever.

use std::sync::LazyLock;

use axum::{
    Router,
    http::{HeaderName, HeaderValue, header},
    routing::get,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::digest::{SHA256, digest};

static STYLE: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("style", "css", include_bytes!("assets/style.css")));
static SCRIPT: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("script", "js", include_bytes!("assets/script.js")));

struct Asset {
    path: String,
    content: &'static [u8],
}

impl Asset {
    fn new(name: &str, extension: &str, content: &'static [u8]) -> Self {
        let hash = digest(&SHA256, content);
        let hash = URL_SAFE_NO_PAD.encode(&hash.as_ref()[..9]);
        Self { path: format!("/assets/{name}-{hash}.{extension}"), content }
    }
}

/// The path of the style sheet.
pub(super) fn stylesheet() -> &'static str {
    &STYLE.path
}

/// The path of the script.
pub(super) fn script() -> &'static str {
    &SCRIPT.path
}

/// Serves the style sheet and the script.
pub fn assets<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let serve = |asset: &'static Asset, kind: &'static str| {
        let headers: [(HeaderName, HeaderValue); 3] = [
            (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
            (
                header::CACHE_CONTROL,
                HeaderValue::from_static("public, max-age=31536000, immutable"),
            ),
            (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        ];
        get(move || std::future::ready((headers, asset.content)))
    };
    Router::new()
        .route(&STYLE.path, serve(&STYLE, "text/css; charset=utf-8"))
        .route(&SCRIPT.path, serve(&SCRIPT, "text/javascript; charset=utf-8"))
}
