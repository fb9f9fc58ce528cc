//! Which flags a client wants to see.

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
    /// The flags of this flag set; those of no flag set where there is no id.
    FlagSet(Option<String>),
    /// The flags of this source.
    Source(String),
}

/// A selector by something else than flag set and source.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct InvalidSelector(String);

impl fmt::Display for InvalidSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = excerpt(&self.0);
        write!(f, "invalid selector key {key:?}, valid keys: \"flagSetId\", \"source\"")
    }
}

impl Selector {
    /// `flagSetId=<id>`, `source=<source>`, a bare source, or nothing for all.
    pub(crate) fn parse(text: &str) -> Result<Self, InvalidSelector> {
        match text.split_once('=') {
            None if text.is_empty() => Ok(Self::All),
            None => Ok(Self::Source(text.to_owned())),
            Some(("flagSetId", id)) => Ok(Self::FlagSet((!id.is_empty()).then(|| id.to_owned()))),
            Some(("source", source)) => Ok(Self::Source(source.to_owned())),
            Some((key, _)) => Err(InvalidSelector(key.to_owned())),
        }
    }

    /// What it adds to the metadata of each answer.
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
