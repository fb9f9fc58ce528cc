//! Headers may carry credentials: no message shows a value.

use flagstaff::{FlagdOptions, flagd::FlagdOptionsBuilder};

use super::{build, from_variables, invalid};

const SECRET: &str = "s3cret";

fn refused(builder: FlagdOptionsBuilder) -> String {
    invalid(build(builder, &[]), "headers", "FLAGD_HEADERS")
}

#[test]
fn an_error_of_the_variable_shows_no_value() {
    for (value, shown) in [
        ("s3cret", "header 1"),
        ("a=1, s3cret", "header 2"),
        (",a=1,,authorization: Bearer s3cret", "header 2"),
        // The name is cut at the wrong place and contains the secret.
        ("authorization: Bearer s3cret=", "header 1"),
        ("a=1,authorization:s3cret==", "header 2"),
        ("=s3cret", "header 1"),
        ("te=s3cret", "`te`"),
        ("grpc-timeout=s3cret", "`grpc-timeout`"),
        ("token-bin=s3cret", "`token-bin`"),
        ("a=s3cret\nb", "`a`"),
        ("a=s3cretü", "`a`"),
    ] {
        let text = invalid(from_variables(&[("FLAGD_HEADERS", value)]), "headers", "FLAGD_HEADERS");
        assert!(text.contains(shown), "{value}: {text}");
        assert!(!text.contains(SECRET), "{text}");
    }
}

#[test]
fn reserved_header_names_are_rejected() {
    for name in [
        "te",
        "TE",
        "content-type",
        "Content-Length",
        "user-agent",
        "host",
        "connection",
        "keep-alive",
        "proxy-connection",
        "transfer-encoding",
        "upgrade",
        "grpc-timeout",
        "Grpc-Anything",
        "trace-bin",
    ] {
        let text = refused(FlagdOptions::builder().header(name, SECRET));
        assert!(text.contains(&name.to_lowercase()), "{text}");
        assert!(!text.contains(SECRET), "{text}");
    }
}

#[test]
fn invalid_header_names_are_rejected_by_their_position() {
    for name in ["", "two words", ":authority", "früh", "authorization: s3cret"] {
        let text = refused(FlagdOptions::builder().header("good", "1").header(name, SECRET));
        assert!(text.contains("header 2") && !text.contains(SECRET), "{text}");
    }
}

#[test]
fn invalid_header_values_are_rejected() {
    for value in ["s3cret\n", "s3cret\r\nx: y", "s3cret\0", "s3cretü"] {
        let text = refused(FlagdOptions::builder().header("token", value));
        assert!(text.contains("`token`") && !text.contains(SECRET), "{text}");
    }
}

#[test]
fn debug_shows_names_alone() {
    let builder = FlagdOptions::builder()
        .headers([("authorization", SECRET)])
        .header(String::from("x-token"), String::from(SECRET));
    let options = build(builder.clone(), &[]).unwrap();
    for text in [format!("{builder:?}"), format!("{options:?}"), format!("{options:#?}")] {
        assert!(text.contains("authorization") && text.contains("x-token"), "{text}");
        assert!(!text.contains(SECRET), "{text}");
    }
}

#[test]
fn a_program_that_sets_one_header_takes_none_from_the_environment() {
    let builder = FlagdOptions::builder().header("a", "1");
    let options = build(builder, &[("FLAGD_HEADERS", "b=2")]).unwrap();
    assert_eq!(options.headers().len(), 1);
}
