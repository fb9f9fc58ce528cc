//! HTTP serving and the HTTP client, each used as another program would use it.
