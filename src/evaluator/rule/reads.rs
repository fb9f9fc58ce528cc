//! Which fields of the context a rule reads.
//!
//! They are found in the compiled rule, where it is known which parts are evaluated
//! on the context and which on the items of an array:
//!
//! | Part of a rule | Fields |
//! |---|---|
//! | `{"var": "user.plan"}` | `user` |
//! | `{"missing": ["a", "b.c"]}` | `a`, `b` |
//! | `{"var": ""}`, or a name that is computed | all |
//! | the body of `map`, `reduce` and `all` | none |
//! | the body of `filter`, `none` and `some` | those of its variables, which flagd substitutes from the context |
//! | `set` | all: the object that it builds may be evaluated as a rule |
//!
//! No field is missing, with one exception: flagd evaluates a value of the context
//! that is itself a rule, and what that rule reads is known only when it is met.

use std::collections::BTreeSet;

use serde_json::Value as Json;

use super::{
    node::{EachKind, Node, Rule, Subject},
    operator::Eager,
};
use crate::evaluator::value::path::Path;

/// The fields of the context that a rule reads.
#[derive(Debug, Default)]
pub(crate) struct Reads<'r> {
    /// Whether the rule may read any field.
    pub(crate) all: bool,
    /// The names of fields that it reads, `$flagd` excepted.
    pub(crate) fields: BTreeSet<&'r str>,
}

impl<'r> Reads<'r> {
    /// Looks through a rule.
    pub(crate) fn of(rule: &'r Rule) -> Self {
        let mut reads = Self::default();
        reads.look(&rule.node);
        reads
    }

    /// Looks through a part that is evaluated on the context.
    fn look(&mut self, node: &'r Node) {
        match node {
            Node::Constant(_) | Node::Fail(_) => {}
            Node::Variable(variable) => self.path(&variable.path),
            Node::VariableOr(variable, default) => {
                self.path(&variable.path);
                self.look(default);
            }
            Node::ComputedVariable(_) | Node::Call(Eager::Set, _) => self.all = true,
            Node::Call(Eager::Missing, names) => match &**names {
                Node::List(names) => names.iter().for_each(|name| self.computed_name(name)),
                name => self.computed_name(name),
            },
            Node::Call(Eager::MissingSome, arguments) => match &**arguments {
                Node::List(items) => match &items[..] {
                    [wanted, Node::Constant(Json::Array(names)), ..] => {
                        self.look(wanted);
                        for name in names {
                            self.name(name);
                        }
                    }
                    _ => self.all = true,
                },
                _ => self.all = true,
            },
            Node::Call(_, arguments) => self.look(arguments),
            Node::Compare(_, sides) => sides.iter().for_each(|side| self.look(side)),
            Node::List(items) | Node::And(items) | Node::Or(items) | Node::If(items) => {
                for item in items {
                    self.look(item);
                }
            }
            Node::Switch(switch) => {
                self.path(&switch.variable.path);
                switch.clauses.iter().for_each(|clause| self.look(clause));
            }
            Node::Member(member) => self.look(&member.needle),
            Node::Each(each) => {
                self.subject(&each.subject);
                let substitutes = !matches!(each.kind, EachKind::Map | EachKind::All);
                if let Some(body) = each.body.as_ref().filter(|_| substitutes) {
                    match &body.variables {
                        Some(paths) => paths.iter().for_each(|path| self.path(path)),
                        None => self.all = true,
                    }
                }
            }
            Node::Reduce(reduce) => {
                self.subject(&reduce.subject);
                self.look(&reduce.start);
            }
        }
    }

    /// The same for what an operator iterates over.
    fn subject(&mut self, subject: &'r Subject) {
        match subject {
            Subject::Nothing | Subject::Literal(_) => {}
            Subject::Rule(rule) => self.look(rule),
        }
    }

    /// A variable. The empty path is the whole context.
    fn path(&mut self, path: &'r Path) {
        self.first(path.0.first().map(|part| &*part.name));
    }

    /// The name of a variable in `missing`, if it is written in the rule.
    fn computed_name(&mut self, name: &'r Node) {
        match name {
            Node::Constant(name) => self.name(name),
            _ => self.all = true,
        }
    }

    /// The name of a variable that is not split yet. What is not a string is not worth
    /// a distinction: such a rule reads hardly anything that exists.
    fn name(&mut self, name: &'r Json) {
        match name {
            Json::String(name) => self.first(name.split('.').find(|part| !part.is_empty())),
            _ => self.all = true,
        }
    }

    /// The first part of a name, which is a field of the context.
    fn first(&mut self, part: Option<&'r str>) {
        match part {
            None => self.all = true,
            Some("$flagd") => {}
            Some(field) => {
                self.fields.insert(field);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use serde_json::{Map, json};

    use super::*;
    use crate::{
        bucketing::Bucketing,
        evaluator::{
            context::{Context, ValueRef},
            rule::{compile::compile, eval, run::Run},
            value::{Object, Root, Value},
        },
    };

    /// The fields that a rule reads, or `*`.
    fn reads(rule: &Json) -> String {
        let rule = compile(rule).unwrap();
        let reads = Reads::of(&rule);
        if reads.all { "*".to_owned() } else { Vec::from_iter(reads.fields).join(" ") }
    }

    /// A context that notes what is read of it.
    struct Noting(Map<String, Json>, RefCell<BTreeSet<String>>);

    impl Context for Noting {
        fn get(&self, name: &str) -> Option<ValueRef<'_>> {
            self.1.borrow_mut().insert(name.to_owned());
            Context::get(&self.0, name)
        }

        fn each(&self, visit: &mut dyn FnMut(&str, ValueRef<'_>)) {
            self.1.borrow_mut().insert("*".to_owned());
            self.0.each(visit);
        }
    }

    /// What an evaluation really reads, sorted.
    fn really(rule: &Json, context: &Json) -> BTreeSet<String> {
        let noting = Noting(context.as_object().unwrap().clone(), RefCell::default());
        let root = Root { context: &noting, flag_key: "f", timestamp: Some(7), kept: None };
        let rule = compile(rule).unwrap();
        let data = Value::Object(Object::Root(&root));
        let _ = eval::eval(&rule.node, &data, &Run::new(Bucketing::String));
        noting.1.into_inner()
    }

    #[test]
    fn fields_are_those_that_are_read_of_the_context() {
        let context = json!({"a": [1, 2], "b": "x", "c": {"d": 1}, "n": "b"});
        for (rule, expected) in [
            (json!("on"), ""),
            (json!({"var": "a.0"}), "a"),
            (json!({"var": "..c..d"}), "c"),
            (json!({"var": ["b", {"var": "c"}]}), "b c"),
            (json!({"var": 1.5}), "1"),
            (json!({"var": "$flagd.timestamp"}), ""),
            (json!({"==": [{"var": "b"}, "x"]}), "b"),
            (json!({"==": [{"var": "b"}, "x", {"var": "c"}]}), "b c"),
            (
                json!({"if": [{"var": "no"}, {"var": "b"}, {"var": "c.d"}, "on", {"cat": {"var": "n"}}]}),
                "b c n no",
            ),
            (json!({"and": [{"or": [false, {"var": "a"}]}, {"!": {"var": "b"}}]}), "a b"),
            (json!({"in": [{"var": "b"}, ["1", "2", "3", "4", "5", "6", "7", "8", "9"]]}), "b"),
            (json!([{"var": "a"}, {"var": "b"}]), "a b"),
            (json!({"missing": "b"}), "b"),
            (json!({"missing": ["b", "c.d", "$flagd.flagKey"]}), "b c"),
            (json!({"missing_some": [{"var": "a.0"}, ["b", "c"]]}), "a b c"),
            (json!({"map": [{"var": "a"}, {"+": [{"var": ""}, {"var": "b"}]}]}), "a"),
            (json!({"map": [[1], {"filter": [{"var": "a"}, {"var": "b"}]}]}), ""),
            (json!({"all": [{"var": "a"}, {"<": [{"var": "b"}, 1]}]}), "a"),
            (json!({"reduce": [{"var": "a"}, {"var": "b"}, {"var": "c.d"}]}), "a c"),
            (json!({"filter": [{"var": "a"}, {"==": [{"var": "b"}, {"var": ".c"}]}]}), "a b"),
            (json!({"some": [{"var": "a"}, {"map": [[1], {"var": "c.d"}]}]}), "a c"),
            (json!({"none": [[1], {"var": "b"}]}), "b"),
            (json!({"fractional": [{"var": "b"}, ["x", 1]]}), "b"),
            (json!({"var": ""}), "*"),
            (json!({"var": []}), "*"),
            (json!({"var": {"var": "n"}}), "*"),
            (json!({"missing": {"var": "a"}}), "*"),
            (json!({"missing": [{"var": "n"}]}), "*"),
            (json!({"missing": ""}), "*"),
            (json!({"missing_some": {"var": "a"}}), "*"),
            (json!({"missing_some": [1, {"var": "a"}]}), "*"),
            (json!({"filter": [{"var": "a"}, {"var": {"var": "n"}}]}), "*"),
            (json!({"if": [true, {"set": [{}, "var", "b"]}]}), "*"),
        ] {
            let found = reads(&rule);
            assert_eq!(found, expected, "{rule}");
            if found != "*" {
                let mut known: BTreeSet<_> = found.split(' ').map(str::to_owned).collect();
                known.insert("targetingKey".to_owned()); // of `fractional`
                let really = really(&rule, &context);
                assert!(really.is_subset(&known), "{rule} reads {really:?}");
            }
        }
    }

    /// Many conditions on one variable become a table.
    #[test]
    fn a_switch_reads_its_variable_and_its_results() {
        let clauses: Vec<_> = (0..20)
            .flat_map(|n| [json!({"==": [{"var": "plan"}, n.to_string()]}), json!({"var": "b"})])
            .collect();
        let rule = json!({"if": clauses});
        assert!(matches!(compile(&rule).unwrap().node, Node::Switch(_)));
        assert_eq!(reads(&rule), "b plan");
    }
}
