//! Which flags a client wants to see.
//!
//! A selector is text, in the header `flagd-selector` or in a message of the
//! sync protocol (docs/flagd.md, "Selectors"):
//!
//! | Text | Meaning |
//! |---|---|
//! | empty | all flags, or the server's default flag set |
//! | `flagSetId=shop` | the flags of one flag set |
//! | `flagSetId=` | the flags that belong to no flag set |
//! | `source=flags.json` | the flags of one source |
//! | `flags.json` | the same: a bare source |
//!
//! A selector that matches nothing is valid, and shows no flag.

use std::fmt;

use crate::excerpt::excerpt;

/// The header that carries a selector, in requests of every protocol.
pub(crate) const HEADER: &str = "flagd-selector";

/// A part of the flags: by flag set or by source.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Selector {
    /// All flags.
    #[default]
    All,
    /// The flags of this flag set; without an id, those that belong to none.
    FlagSet(Option<String>),
    /// The flags of the source with this name.
    Source(String),
}

/// A selector by something other than flag set and source. It holds the unknown
/// key, and its message is flagd's, because providers recognize it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct InvalidSelector(String);

impl fmt::Display for InvalidSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = excerpt(&self.0);
        write!(f, "invalid selector key {key:?}, valid keys: \"flagSetId\", \"source\"")
    }
}

impl Selector {
    /// Parses a selector in one of the forms above.
    ///
    /// # Errors
    ///
    /// Returns an error for any other key before the first `=`.
    pub(crate) fn parse(text: &str) -> Result<Self, InvalidSelector> {
        match text.split_once('=') {
            None if text.is_empty() => Ok(Self::All),
            None => Ok(Self::Source(text.to_owned())),
            Some(("flagSetId", id)) => Ok(Self::FlagSet((!id.is_empty()).then(|| id.to_owned()))),
            Some(("source", source)) => Ok(Self::Source(source.to_owned())),
            Some((key, _)) => Err(InvalidSelector(key.to_owned())),
        }
    }

    /// The field that the selector adds to the metadata of each result, unless the
    /// flag has it already.
    pub(crate) fn metadata(&self) -> Option<(&'static str, &str)> {
        match self {
            Self::FlagSet(Some(id)) => Some(("flagSetId", id)),
            Self::Source(source) if !source.is_empty() => Some(("source", source)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_forms() {
        let set = |id: &str| Ok(Selector::FlagSet(Some(id.to_owned())));
        let source = |name: &str| Ok(Selector::Source(name.to_owned()));
        assert_eq!(Selector::parse(""), Ok(Selector::All));
        assert_eq!(Selector::parse("flagSetId=a=b"), set("a=b"));
        assert_eq!(Selector::parse("flagSetId="), Ok(Selector::FlagSet(None)));
        assert_eq!(Selector::parse("source=a.json"), source("a.json"));
        assert_eq!(Selector::parse("a.json"), source("a.json"));
    }

    #[test]
    fn other_keys_are_named() {
        let error = Selector::parse("bogus=1").unwrap_err();
        let text = r#"invalid selector key "bogus", valid keys: "flagSetId", "source""#;
        assert_eq!(error.to_string(), text);
    }
}
