//! A flag definition of a size that is large in practice.

use std::fmt::Write as _;

pub(crate) const FLAGS: usize = 10_000;

/// As many flags as [`FLAGS`], each with three variants, a rule of two branches and metadata. The
/// first of them lets users of `domain` in.
pub(crate) fn definition(domain: &str) -> String {
    let mut text = "{\n  \"flags\": {".to_owned();
    for n in 0..FLAGS {
        let comma = if n > 0 { "," } else { "" };
        let domain = if n == 0 { domain } else { "corp.example" };
        write!(
            text,
            r#"{comma}
    "team-{}-feature-{n:05}": {{
      "state": "ENABLED",
      "variants": {{"control": "classic", "blue": "blue button", "green": "green button"}},
      "defaultVariant": "control",
      "targeting": {{
        "if": [
          {{"and": [{{"ends_with": [{{"var": "email"}}, "@{domain}"]}}, {{">=": [{{"var": "age"}}, {}]}}]}},
          "blue",
          {{"fractional": [["control", 80], ["green", 20]]}}
        ]
      }},
      "metadata": {{"owner": "team-{}"}}
    }}"#,
            n % 50,
            n % 80,
            n % 50
        )
        .unwrap();
    }
    text.push_str("\n  },\n  \"metadata\": {\"flagSetId\": \"shop\"}\n}\n");
    text
}
