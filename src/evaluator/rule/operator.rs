//! The operators of rules, by name.

/// An operator on evaluated arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Eager {
    /// A comparison of other than two arguments.
    Compare(Comparison),
    Not,
    IsTrue,
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Abs,
    Max,
    Min,
    Cat,
    Substring,
    In,
    Merge,
    Missing,
    MissingSome,
    ContainsAll,
    ContainsAny,
    ContainsNone,
    Set,
    SemVer,
    Fractional,
}

/// An operator that evaluates its arguments itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lazy {
    And,
    Or,
    If,
    Filter,
    Map,
    Reduce,
    All,
    None,
    Some,
}

/// An operator that compares two values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comparison {
    Equal,
    NotEqual,
    Same,
    NotSame,
    Less,
    AtMost,
    Greater,
    AtLeast,
    StartsWith,
    EndsWith,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Operator {
    Compare(Comparison),
    Eager(Eager),
    Lazy(Lazy),
    Variable,
}

const TABLE: &[(&str, Operator)] = &[
    ("var", Operator::Variable),
    ("if", Operator::Lazy(Lazy::If)),
    ("?:", Operator::Lazy(Lazy::If)),
    ("and", Operator::Lazy(Lazy::And)),
    ("or", Operator::Lazy(Lazy::Or)),
    ("filter", Operator::Lazy(Lazy::Filter)),
    ("map", Operator::Lazy(Lazy::Map)),
    ("reduce", Operator::Lazy(Lazy::Reduce)),
    ("all", Operator::Lazy(Lazy::All)),
    ("none", Operator::Lazy(Lazy::None)),
    ("some", Operator::Lazy(Lazy::Some)),
    ("!", Operator::Eager(Eager::Not)),
    ("!!", Operator::Eager(Eager::IsTrue)),
    ("==", Operator::Compare(Comparison::Equal)),
    ("!=", Operator::Compare(Comparison::NotEqual)),
    ("===", Operator::Compare(Comparison::Same)),
    ("!==", Operator::Compare(Comparison::NotSame)),
    ("<", Operator::Compare(Comparison::Less)),
    ("<=", Operator::Compare(Comparison::AtMost)),
    (">", Operator::Compare(Comparison::Greater)),
    (">=", Operator::Compare(Comparison::AtLeast)),
    ("+", Operator::Eager(Eager::Add)),
    ("-", Operator::Eager(Eager::Subtract)),
    ("*", Operator::Eager(Eager::Multiply)),
    ("/", Operator::Eager(Eager::Divide)),
    ("%", Operator::Eager(Eager::Remainder)),
    ("abs", Operator::Eager(Eager::Abs)),
    ("max", Operator::Eager(Eager::Max)),
    ("min", Operator::Eager(Eager::Min)),
    ("cat", Operator::Eager(Eager::Cat)),
    ("substr", Operator::Eager(Eager::Substring)),
    ("starts_with", Operator::Compare(Comparison::StartsWith)),
    ("ends_with", Operator::Compare(Comparison::EndsWith)),
    ("in", Operator::Eager(Eager::In)),
    ("merge", Operator::Eager(Eager::Merge)),
    ("missing", Operator::Eager(Eager::Missing)),
    ("missing_some", Operator::Eager(Eager::MissingSome)),
    ("contains_all", Operator::Eager(Eager::ContainsAll)),
    ("contains_any", Operator::Eager(Eager::ContainsAny)),
    ("contains_none", Operator::Eager(Eager::ContainsNone)),
    ("set", Operator::Eager(Eager::Set)),
    ("sem_ver", Operator::Eager(Eager::SemVer)),
    ("fractional", Operator::Eager(Eager::Fractional)),
];

/// The operator of this name.
pub(crate) fn find(name: &str) -> Option<Operator> {
    TABLE.iter().find(|(known, _)| *known == name).map(|(_, operator)| *operator)
}

/// How many operators there are.
#[cfg(test)]
pub(crate) fn count() -> usize {
    TABLE.len()
}

/// Whether the operator of this name evaluates a part of the rule on other data than its own.
pub(crate) fn is_scope(name: &str) -> bool {
    matches!(
        find(name),
        Some(Operator::Lazy(
            Lazy::Filter | Lazy::Map | Lazy::Reduce | Lazy::All | Lazy::None | Lazy::Some
        ))
    )
}
