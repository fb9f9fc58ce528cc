//! Warnings about targeting rules: a walk over the tree of a rule, operator by
//! operator.
//!
//! For each operation, three questions are asked in this order:
//!
//! 1. Are its arguments those that flagd's schema accepts? That depends on the
//!    operator, and leads to the arguments, which may be operations themselves.
//! 2. Can each argument have a type that the operator accepts?
//! 3. If all of it is constant, what is the result?
//!
//! The last one is only asked if the first two led to no warning, also about what
//! is within the arguments: one mistake should be one warning.

use super::{
    linter::{Linter, Scope, text},
    near::suggestion,
    operators::{self, Kinds, Operator, Takes},
    read::{evaluated, literal, operation},
};
use crate::evaluator::{
    json_text,
    load::tree::{Entry, Kind, Tree},
};

impl<'t> Linter<'t> {
    /// Checks the rule of a flag, or a shared rule.
    pub(crate) fn targeting(&mut self, rule: &'t Tree) {
        match operation(rule) {
            Some(reference) if reference.name == "$ref" => {
                self.warn(rule.at, "flagd's schema does not accept a reference alone as a rule");
                self.reference(reference);
            }
            _ if matches!(&rule.kind, Kind::Object(entries) if entries.is_empty()) => {}
            _ => self.rule(rule),
        }
    }

    /// Checks what must be an operation. flagd's schema does not accept a
    /// reference in some places where flagd itself does.
    pub(crate) fn rule(&mut self, rule: &'t Tree) {
        match operation(rule) {
            Some(reference) if reference.name == "$ref" => {
                self.warn(rule.at, "flagd's schema does not accept a reference here");
                self.reference(reference);
            }
            Some(_) => self.argument(rule),
            None if matches!(rule.kind, Kind::Object(_)) => self.argument(rule),
            None => self.warn(rule.at, "a rule should be an object"),
        }
    }

    /// Checks what an operator takes in most places: a value, an operation or a
    /// reference.
    pub(crate) fn argument(&mut self, argument: &'t Tree) {
        match (&argument.kind, operation(argument)) {
            (_, Some(reference)) if reference.name == "$ref" => self.reference(reference),
            (_, Some(operation)) => {
                // Warns of a name that occurs twice.
                self.entries(argument);
                self.operation(operation);
            }
            (Kind::Object(entries), None) if entries.is_empty() => {
                self.warn(argument.at, "an empty object is not a valid argument");
            }
            (Kind::Object(_), None) => {
                let message = "a rule should have one operator: flagd evaluates none of these";
                self.warn(argument.at, message);
            }
            // The items of an array are evaluated.
            (Kind::List(items), _) => items.iter().for_each(|item| self.item(item)),
            (Kind::Scalar(_), _) => {}
        }
    }

    /// Checks an item of an array, where an object that is not an operation may
    /// be a value.
    fn item(&mut self, item: &'t Tree) {
        if operation(item).is_some() || matches!(item.kind, Kind::List(_)) {
            self.argument(item);
        }
    }

    /// Checks a reference: it fails if it is not replaced.
    fn reference(&mut self, reference: &'t Entry) {
        let at = reference.value.at;
        let Some(name) = text(&reference.value) else {
            return self.warn(
                at,
                "`$ref` should be a string: it fails (PARSE_ERROR) where it is evaluated",
            );
        };
        let known = self.evaluators.contains_key(name);
        if self.in_evaluator {
            let message = "a reference within an evaluator is not replaced: it fails \
                (PARSE_ERROR) where it is evaluated";
            self.warn(reference.at, message);
        } else if !known || !json_text::is_plain(name) {
            let near = suggestion(name, self.evaluators.keys().copied().filter(|n| *n != name));
            let message = if known {
                format!(
                    "flagd does not find an evaluator of this name: `{name}` has characters \
                    that JSON escapes"
                )
            } else {
                format!(
                    "evaluator `{name}` does not exist: the reference fails (PARSE_ERROR) where it \
                     is evaluated{near}"
                )
            };
            self.warn(at, message);
        }
    }

    /// Checks an operation.
    fn operation(&mut self, operation: &'t Entry) {
        let name = &*operation.name;
        let Some(operator) = operators::find(name) else {
            let near = suggestion(name, operators::names().chain(["$ref"]));
            let message = format!(
                "`{name}` is not an operator: it fails (PARSE_ERROR) where it is evaluated{near}"
            );
            return self.warn(operation.at, message);
        };
        let before = self.warnings.len();
        self.arguments(operation, operator);
        self.types(operation, operator);
        if self.warnings.len() == before {
            self.constant(operation, operator);
        }
    }

    /// Warns about an argument that never has a type that the operator accepts,
    /// and about a comparison of types that are never equal.
    ///
    /// Only the first argument is reported: after it, the result is known.
    fn types(&mut self, operation: &'t Entry, operator: &Operator) {
        let name = &operation.name;
        let Kind::List(items) = &operation.value.kind else { return };
        if !operator.fits(items.len()) {
            return;
        }
        let kinds: Vec<Kinds> = items.iter().map(|item| self.kinds(item)).collect();
        for (index, (item, kinds)) in items.iter().zip(&kinds).enumerate() {
            let (accepted, otherwise) = operator.accepts(index);
            if !accepted.meets(*kinds) {
                let message = format!("`{name}` {otherwise}: expected {accepted}, got {kinds}");
                return self.warn(item.at, message);
            }
        }
        self.extremes(name, items);
        let [a, b] = *kinds else { return };
        let strict = matches!(&**name, "===" | "!==");
        let null =
            strict || matches!(&**name, "==" | "!=") && (a == Kinds::NULL || b == Kinds::NULL);
        if null && !a.meets(b) {
            let message =
                format!("`{name}` is always {}: {a} never equals {b}", name.starts_with('!'));
            self.warn(operation.at, message);
        }
    }

    /// The types that an argument may have. A reference has those of the shared
    /// rule.
    pub(crate) fn kinds(&self, argument: &'t Tree) -> Kinds {
        let given = |operation: &Entry| operators::find(&operation.name).map(|known| known.gives);
        match operation(argument) {
            None => Kinds::of(argument),
            Some(variable) if variable.name == "var" => self.variable_kinds(&variable.value),
            Some(reference) if reference.name == "$ref" => {
                let rule = self.referred(reference);
                rule.map_or(Kinds::ANY, |rule| match operation(rule) {
                    None => Kinds::of(rule),
                    Some(operation) => given(operation).unwrap_or(Kinds::ANY),
                })
            }
            Some(operation) => given(operation).unwrap_or(Kinds::ANY),
        }
    }

    /// The rule that takes the place of a reference; `None` if the reference is
    /// not replaced.
    pub(crate) fn referred(&self, reference: &Entry) -> Option<&'t Tree> {
        text(&reference.value)
            .filter(|name| !self.in_evaluator && json_text::is_plain(name))
            .and_then(|name| self.evaluators.get(name).copied())
    }

    /// Checks the arguments of an operation, as the operator takes them.
    fn arguments(&mut self, operation: &'t Entry, operator: &Operator) {
        let (name, value) = (&*operation.name, &*operation.value);
        match operator.takes {
            Takes::Variable => self.variable(value),
            Takes::One => self.argument(value),
            Takes::Arguments(least, most) => {
                let arguments = self.list(name, value, least, most);
                self.scoped(name, &arguments);
            }
            Takes::Names => {
                let names = self.list(name, value, 0, usize::MAX);
                self.names(&names);
            }
            Takes::SomeNames => {
                if let [count, names] = &*self.list(name, value, 2, 2) {
                    if Kinds::of(count) != Kinds::NUMBER {
                        self.warn(count.at, "`missing_some` should begin with a number");
                    }
                    if let Kind::List(names) = &names.kind {
                        self.wanted(count, names.len());
                        self.names(&names.iter().map(|name| &**name).collect::<Vec<_>>());
                    } else {
                        let message = "`missing_some` should end with an array of names";
                        self.warn(names.at, message);
                    }
                }
            }
            Takes::Strings => {
                for argument in self.list(name, value, 2, 2) {
                    // What is of another type is always null.
                    if Kinds::of(argument) == Kinds::OBJECT {
                        self.rule(argument);
                    }
                }
            }
            Takes::Versions => self.versions(value),
            Takes::Buckets => self.buckets(value),
            Takes::Unknown => {
                let message = format!(
                    "only flagd knows the operator `{name}`: its schema and other providers do \
                     not"
                );
                self.warn(operation.at, message);
                self.argument(value);
            }
        }
    }

    /// Checks the arguments of an operator of which some may be evaluated on
    /// other data than the context.
    ///
    /// An array as the first argument of `map` and its like is taken as it is:
    /// nothing in it is evaluated, and so nothing in it is checked.
    fn scoped(&mut self, name: &str, arguments: &[&'t Tree]) {
        let scalars = |list: &Tree| match &list.kind {
            Kind::List(items) => items.iter().all(|item| matches!(item.kind, Kind::Scalar(_))),
            _ => false,
        };
        let body = match name {
            "map" | "filter" | "all" | "none" | "some" => {
                let scalars = arguments.first().is_some_and(|list| scalars(list));
                Some(if scalars { Scope::Scalar } else { Scope::Item })
            }
            "reduce" => Some(Scope::Accumulation),
            "in" => {
                self.ranges(arguments);
                None
            }
            _ => None,
        };
        let scope = self.scope;
        for (index, argument) in arguments.iter().enumerate() {
            match (index, body) {
                // An array that is written in the rule is not evaluated.
                (0, Some(_)) if matches!(argument.kind, Kind::List(_)) => {}
                (1, Some(body)) => {
                    if !matches!(name, "map" | "filter")
                        && !matches!(argument.kind, Kind::Object(_))
                    {
                        let message = format!(
                            "`{name}` fails (PARSE_ERROR) for every item: what \
                            it evaluates should be a rule"
                        );
                        self.warn(argument.at, message);
                    }
                    self.scope = body;
                    self.argument(argument);
                    self.scope = scope;
                }
                _ => {
                    let before = self.warnings.len();
                    self.argument(argument);
                    if self.warnings.len() == before {
                        self.condition(name, argument, index, arguments.len());
                    }
                }
            }
        }
    }

    /// The items of an argument that should be an array with `least` to `most` of
    /// them, with a warning if it is not. Items are returned even if there are
    /// too many or too few, so that they are checked.
    pub(crate) fn list(
        &mut self,
        name: &str,
        value: &'t Tree,
        least: usize,
        most: usize,
    ) -> Vec<&'t Tree> {
        let Kind::List(items) = &value.kind else {
            self.warn(value.at, format!("`{name}` takes an array{}", consequence(name, value)));
            self.argument(value);
            return Vec::new();
        };
        let items: Vec<&Tree> = items.iter().map(|item| &**item).collect();
        if (least..=most).contains(&items.len()) {
            return items;
        }
        let takes = match (least, most) {
            (least, most) if least == most => format!("{least}"),
            (least, usize::MAX) => format!("{least} or more"),
            (least, most) => format!("{least} to {most}"),
        };
        let plural = if takes == "1" { "" } else { "s" };
        let so = consequence(name, value);
        let message =
            format!("`{name}` takes {takes} argument{plural}, and has {}{so}", items.len());
        self.warn(value.at, message);
        items
    }
}

/// What always happens if the arguments are not those that the operator takes,
/// for the end of a message; empty if that cannot be known.
fn consequence(name: &str, arguments: &Tree) -> &'static str {
    let null = matches!(name, "starts_with" | "ends_with" | "sem_ver");
    if null && matches!(arguments.kind, Kind::List(_)) {
        ": it is always null"
    } else if literal(arguments).is_some() && evaluated(name, arguments).is_err() {
        ": it fails (PARSE_ERROR)"
    } else {
        ""
    }
}
