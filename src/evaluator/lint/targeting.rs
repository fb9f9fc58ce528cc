//! Warnings of targeting rules: a walk over the tree of a rule, operator by operator.

use serde_json::Value as Json;

use super::{
    linter::{Linter, Scope, text},
    near::suggestion,
    operators::{self, Kinds, Operator, Takes},
    read::{evaluated, literal, operation},
};
use crate::evaluator::{
    json_text,
    load::tree::{Entry, Kind, Tree},
    value::{Fail, Value},
};

impl<'t> Linter<'t> {
    /// The rule of a flag or an evaluator.
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

    /// What must be an operation.
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

    /// What an operator takes anywhere: a value, a rule or a reference.
    pub(crate) fn argument(&mut self, argument: &'t Tree) {
        match (&argument.kind, operation(argument)) {
            (_, Some(reference)) if reference.name == "$ref" => self.reference(reference),
            (_, Some(operation)) => {
                // Warns of a name that occurs twice.
                self.entries(argument);
                self.operation(argument, operation);
            }
            (Kind::Object(entries), None) if entries.is_empty() => {
                self.warn(argument.at, "an empty object is not a valid argument");
            }
            (Kind::Object(_), None) => {
                let message = "a rule should have one operator: flagd evaluates none of these";
                self.warn(argument.at, message);
            }
            // The items of a list are evaluated.
            (Kind::List(items), _) => items.iter().for_each(|item| self.item(item)),
            (Kind::Scalar(_), _) => {}
        }
    }

    /// An item of a list, where an object may be a value.
    fn item(&mut self, item: &'t Tree) {
        if operation(item).is_some() || matches!(item.kind, Kind::List(_)) {
            self.argument(item);
        }
    }

    fn reference(&mut self, reference: &'t Entry) {
        let at = reference.value.at;
        let Some(name) = text(&reference.value) else {
            return self.warn(at, "`$ref` should be a string: the rule fails (PARSE_ERROR)");
        };
        let known = self.evaluators.contains_key(name);
        if self.in_evaluator {
            let message = "a reference within an evaluator is not replaced: the rule fails \
                (PARSE_ERROR)";
            self.warn(reference.at, message);
        } else if !known || !json_text::is_plain(name) {
            let near = suggestion(name, self.evaluators.keys().copied().filter(|n| *n != name));
            let message = if known {
                format!(
                    "flagd does not find an evaluator of this name: `{name}` has characters \
                    that JSON escapes"
                )
            } else {
                format!("the evaluator `{name}` does not exist: the rule fails (PARSE_ERROR){near}")
            };
            self.warn(at, message);
        }
    }

    fn operation(&mut self, rule: &'t Tree, operation: &'t Entry) {
        let name = &*operation.name;
        let Some(operator) = operators::find(name) else {
            let near = suggestion(name, operators::names());
            let message =
                format!("`{name}` is not an operator: the rule fails (PARSE_ERROR){near}");
            return self.warn(operation.at, message);
        };
        let before = self.warnings.len();
        self.arguments(operation, operator);
        self.types(operation, operator);
        if self.warnings.len() == before {
            self.constant(rule, operation, operator);
        }
    }

    /// Types that an argument never should have.
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

    /// The types that an argument may have.
    pub(crate) fn kinds(&self, argument: &'t Tree) -> Kinds {
        let given = |operation: &Entry| operators::find(&operation.name).map(|known| known.gives);
        match operation(argument) {
            None => Kinds::of(argument),
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

    /// The rule that takes the place of a reference.
    pub(crate) fn referred(&self, reference: &Entry) -> Option<&'t Tree> {
        text(&reference.value)
            .filter(|name| !self.in_evaluator && json_text::is_plain(name))
            .and_then(|name| self.evaluators.get(name).copied())
    }

    /// What always fails, and comparisons of values that are written there.
    fn constant(&mut self, rule: &'t Tree, operation: &'t Entry, operator: &Operator) {
        let name = &operation.name;
        if literal(&operation.value).is_none() {
            return;
        }
        match evaluated(rule) {
            Err(Fail(reason)) => {
                self.warn(operation.at, format!("`{name}` fails (PARSE_ERROR): {reason}"));
            }
            Ok(Json::Bool(value)) if operator.compares() => {
                self.warn(operation.at, format!("`{name}` is always {value} of these values"));
            }
            Ok(_) => {}
        }
    }

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

    /// Arguments, of which some are evaluated on other data than the context.
    fn scoped(&mut self, name: &str, arguments: &[&'t Tree]) {
        let body = match name {
            "map" | "filter" | "all" | "none" | "some" => Some(Scope::Item),
            "reduce" => Some(Scope::Accumulation),
            "if" => {
                self.conditions(arguments);
                None
            }
            "in" => {
                self.ranges(arguments);
                None
            }
            _ => None,
        };
        let scope = self.scope;
        for (index, argument) in arguments.iter().enumerate() {
            match (index, body) {
                // A list that is written there is taken as it stands.
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
                _ => self.argument(argument),
            }
        }
    }

    /// The conditions of `if`: true and false are meant, other values hardly.
    fn conditions(&mut self, clauses: &[&'t Tree]) {
        for clause in clauses.chunks_exact(2) {
            if let Some(value) = literal(clause[0])
                && !value.is_boolean()
            {
                let holds = Value::from(&value).is_true();
                self.warn(clause[0].at, format!("this condition is always {holds}"));
            }
        }
    }

    /// A list inside of the list that `in` looks through.
    fn ranges(&mut self, arguments: &[&'t Tree]) {
        let Some(Tree { kind: Kind::List(items), .. }) = arguments.get(1) else { return };
        for item in items {
            let Kind::List(bounds) = &item.kind else { continue };
            let numbers = bounds.iter().all(|bound| Kinds::NUMBER.meets(self.kinds(bound)));
            if bounds.len() != 2 || !numbers {
                let message = "an array inside the array is a range of numbers: expected two";
                self.warn(item.at, message);
            }
        }
    }

    /// The items of a list of so many.
    pub(crate) fn list(
        &mut self,
        name: &str,
        value: &'t Tree,
        least: usize,
        most: usize,
    ) -> Vec<&'t Tree> {
        let Kind::List(items) = &value.kind else {
            self.warn(value.at, format!("`{name}` takes an array"));
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
        let null = matches!(name, "starts_with" | "ends_with" | "sem_ver");
        let so = if null { ": it is always null" } else { "" };
        let message =
            format!("`{name}` takes {takes} argument{plural}, and has {}{so}", items.len());
        self.warn(value.at, message);
        items
    }

    fn names(&mut self, names: &[&'t Tree]) {
        for name in names {
            match text(name) {
                Some(text) => self.variable_name(name, text),
                None => self.warn(name.at, "the name of a variable should be a string"),
            }
        }
    }

    pub(crate) fn variable(&mut self, value: &'t Tree) {
        match &value.kind {
            Kind::List(items) => {
                if items.len() > 2 {
                    let message = "`var` takes a name and a default value: with more, the default \
                        value is ignored";
                    self.warn(value.at, message);
                }
                match items.first().map(|name| (name, text(name))) {
                    Some((name, Some(text))) => self.variable_name(name, text),
                    Some((name, None)) => self.argument(name),
                    None => {}
                }
                items.iter().skip(1).for_each(|item| self.argument(item));
            }
            Kind::Scalar(Json::String(text)) => self.variable_name(value, text),
            _ => self.argument(value),
        }
    }

    fn variable_name(&mut self, name: &Tree, text: &str) {
        let mut parts = text.split('.').filter(|part| !part.is_empty());
        let (Some(first), second) = (parts.next(), parts.next()) else { return };
        match self.scope {
            Scope::Item => {}
            Scope::Context => {
                for known in ["targetingKey", "$flagd"] {
                    if first != known && first.eq_ignore_ascii_case(known) {
                        let near = text.replacen(first, known, 1);
                        let message = format!("names are case-sensitive: did you mean `{near}`?");
                        self.warn(name.at, message);
                    }
                }
                if let Some(field) = second.filter(|_| first == "$flagd") {
                    self.field(name, field, &["flagKey", "timestamp"], "`$flagd`");
                }
            }
            Scope::Accumulation => {
                let fields = &["current", "accumulator", "valueType"];
                self.field(name, first, fields, "what `reduce` evaluates");
            }
        }
    }

    /// Warns of a field that an object of known fields does not have.
    fn field(&mut self, at: &Tree, field: &str, fields: &[&str], of: &str) {
        if !fields.contains(&field) {
            let near = suggestion(field, fields.iter().copied());
            let has =
                fields.iter().map(|field| format!("`{field}`")).collect::<Vec<_>>().join(", ");
            self.warn(at.at, format!("{of} has only the fields {has}{near}"));
        }
    }
}
