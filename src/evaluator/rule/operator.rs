//! The operators of rules, by name.
//!
//! The linter has a table of its own, of what each operator takes and returns; a
//! test keeps the names in both the same. How an operator is compiled depends on
//! its kind:
//!
//! | Kind | Arguments | Compiled to |
//! |---|---|---|
//! | [`Comparison`] | exactly two | [`Node::Compare`](super::node::Node::Compare) |
//! | [`Comparison`] | any other number | [`Node::Call`](super::node::Node::Call) |
//! | [`Eager`] | all evaluated before the call | [`Node::Call`](super::node::Node::Call) |
//! | [`Lazy`] | evaluated as the operator needs them | a node of its own |
//! | [`Operator::Variable`] | usually known in advance | a node for each form |
//!
//! Names are case-sensitive, as in flagd.

/// An operator on evaluated arguments: [`operators`](super::operators) has a
/// function for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Eager {
    /// A comparison of more or fewer than two arguments.
    Compare(Comparison),
    /// `!`: whether the argument is false.
    Not,
    /// `!!`: whether the argument is true.
    IsTrue,
    /// `+`: the sum.
    Add,
    /// `-`: the first argument without the others.
    Subtract,
    /// `*`: the product.
    Multiply,
    /// `/`: the first argument, divided by the others.
    Divide,
    /// `%`: the remainder of a division.
    Remainder,
    /// `abs`: the number without its sign.
    Abs,
    /// `max`: the largest number.
    Max,
    /// `min`: the smallest number.
    Min,
    /// `cat`: the arguments, joined to a string.
    Cat,
    /// `substr`: a part of a string.
    Substring,
    /// `in`: whether a string contains another, or an array a value.
    In,
    /// `merge`: the items of several arrays in one.
    Merge,
    /// `missing`: which of the named variables are null.
    Missing,
    /// `missing_some`: the same, unless enough of them are present.
    MissingSome,
    /// `contains_all`: whether an array contains all items of another.
    ContainsAll,
    /// `contains_any`: whether an array contains an item of another.
    ContainsAny,
    /// `contains_none`: whether an array contains no item of another.
    ContainsNone,
    /// `set`: an object with one field changed.
    Set,
    /// `sem_ver`: a comparison of versions.
    SemVer,
    /// `fractional`: a variant by its share of all users.
    Fractional,
}

/// An operator that decides which of its arguments are evaluated, and on what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lazy {
    /// `and`: the first argument that is false, or the last one.
    And,
    /// `or`: the first argument that is true, or the last one.
    Or,
    /// `if` and `?:`: the result of the first condition that holds.
    If,
    /// `filter`: the items for which a rule is true.
    Filter,
    /// `map`: the results of a rule for each item.
    Map,
    /// `reduce`: one value, from all items.
    Reduce,
    /// `all`: whether a rule is true for every item.
    All,
    /// `none`: whether a rule is true for no item.
    None,
    /// `some`: whether a rule is true for an item.
    Some,
}

/// An operator that compares two values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comparison {
    /// `==`: equal, after conversion to a number if the types differ.
    Equal,
    /// `!=`: the opposite of `==`.
    NotEqual,
    /// `===`: equal, and of the same type.
    Same,
    /// `!==`: the opposite of `===`.
    NotSame,
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `>`
    Greater,
    /// `>=`
    AtLeast,
    /// `starts_with`, of strings only.
    StartsWith,
    /// `ends_with`, of strings only.
    EndsWith,
}

/// What a name in a rule stands for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Operator {
    /// A comparison.
    Compare(Comparison),
    /// An operator on evaluated arguments.
    Eager(Eager),
    /// An operator that decides which of its arguments are evaluated.
    Lazy(Lazy),
    /// `var`: reads a variable.
    Variable,
}

/// All operators, each by its name; `?:` is another name of `if`.
///
/// A search from the start is good enough: names are looked up when a rule is
/// compiled, and are part of the tree from then on.
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

/// The operator with this name, if flagd knows it.
pub(crate) fn find(name: &str) -> Option<Operator> {
    TABLE.iter().find(|(known, _)| *known == name).map(|(_, operator)| *operator)
}

/// The number of names in the table, for tests that cover all of them.
#[cfg(test)]
pub(crate) fn count() -> usize {
    TABLE.len()
}

/// Whether the operator with this name evaluates a part of the rule on other
/// data than itself: on the items of an array, or on an accumulator.
pub(crate) fn is_scope(name: &str) -> bool {
    matches!(
        find(name),
        Some(Operator::Lazy(
            Lazy::Filter | Lazy::Map | Lazy::Reduce | Lazy::All | Lazy::None | Lazy::Some
        ))
    )
}
