//! Truth, numbers and JSON text of values.

use super::*;

fn truth(json: &Json) -> bool {
    Value::from(json).is_true()
}

#[test]
fn what_is_not_empty_is_true() {
    for json in [json!(true), json!(-1), json!("0"), json!([0]), json!({"a": null})] {
        assert!(truth(&json), "{json}");
    }
    for json in [json!(null), json!(false), json!(0), json!(-0.0), json!(""), json!([]), json!({})]
    {
        assert!(!truth(&json), "{json}");
    }
    assert!(Value::Number(f64::NAN).is_true());
}

#[test]
fn numbers_for_arithmetic() {
    assert_eq!(Value::from(&json!("1.5")).to_number(), Ok(1.5));
    assert_eq!(Value::from(&json!("x")).to_number(), Ok(0.0));
    for json in [json!(null), json!(true), json!([1]), json!({})] {
        assert!(Value::from(&json).to_number().is_err(), "{json}");
    }
}

#[test]
fn json_text_has_the_escapes_of_html() {
    let value = json!({"b": "<a>&\"\\\n\u{7}\u{2028}", "a": [1.0, null]});
    let mut text = String::new();
    Value::from(&value).write_json(&mut text).unwrap();
    let escaped = r#"{"a":[1,null],"b":"\u003ca\u003e\u0026\"\\\n\u0007\u2028"}"#;
    assert_eq!(text, escaped);
    assert_eq!(
        Value::Number(f64::NAN).write_json(&mut text),
        Err(Fail("a number that JSON cannot represent"))
    );
}
