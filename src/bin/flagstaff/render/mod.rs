//! `flagstaff render`: renders manifests in which flags decide.
//!
//! | File | What it does |
//! |---|---|
//! | [`subject`] | whom flags are evaluated for |
//! | [`input`] | which files are read |
//! | [`actions`], [`go`], [`scan`] | from Go's syntax to minijinja's |
//! | [`engine`], [`compare`], [`filters`], [`yaml`] | templates |
//! | [`flags`], [`lookup`] | from a name in a template to the value of a flag |
//! | [`documents`], [`tree`] | where the result goes |
//!
//! Nothing is written before everything is rendered.

mod actions;
mod compare;
mod documents;
mod engine;
mod filters;
mod flags;
mod go;
mod input;
mod lookup;
mod scan;
mod subject;
mod tree;
mod yaml;

use std::{
    env,
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
    thread,
};

use clap::builder::NonEmptyStringValueParser;
use flagstaff::{FlagdOptions, FlagdProvider, flagd::Resolver, flagops::Facts};
use open_feature::{EvaluationContext, provider::FeatureProvider as _};
use serde_json::Value;
use tokio::{runtime::Handle, sync::oneshot};

use self::{
    engine::{Engine, Problem},
    flags::Flags,
    input::{Content, Input},
    subject::Property,
    tree::Output,
};
use crate::{
    connection::Connection,
    context,
    excerpt::{chain, shown},
    exit::{Exit, failed},
    facts::FactsArgs,
    json, output,
};

/// Render manifests in which flags decide, such as `replicas: [{ env "max_replicas" }]` or
/// `[{ flag("max_replicas", 3) }]`.
///
/// Without --out, the YAML and JSON files are printed as YAML documents. With it, all files are
/// written to a directory. docs/cli.md describes the templates.
///
/// Exit code 0: everything was rendered and written; 1: a template is invalid, a flag in it has no
/// value, or a file cannot be read or written; nothing was written; 2: usage error; 3: flagd is
/// unreachable, rejects the call, or cannot be used with these options.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Files and directories to render. Archives and files that are not UTF-8 are copied.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Write the files to this directory, with the names that they have in theirs.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// The targeting key [env: `FLAGOPS_IDENTITY`, else `ARGOCD_APP_NAME`].
    #[arg(long, value_name = "IDENTITY", value_parser = NonEmptyStringValueParser::new())]
    identity: Option<String>,
    /// A field of the evaluation context, `name=value`; can be repeated
    /// [env: `FLAGOPS_PROP_NAME`, else `ARGOCD_ENV_FLAGOPS_PROP_NAME`].
    #[arg(long = "property", value_name = "NAME=VALUE", value_parser = subject::property)]
    properties: Vec<Property>,
    /// Give properties whose values are valid JSON (`5`, `true`) its type; by default, all are
    /// strings.
    #[arg(long)]
    json_properties: bool,
    /// Text to put before each template, and to render with it: a license, or
    /// `[{ if env "x_enabled" -}]`.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    #[arg(allow_hyphen_values = true)]
    prepend: String,
    /// Text to put after each template, and to render with it, such as `[{ end }]`.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    #[arg(allow_hyphen_values = true)]
    append: String,
    #[command(flatten)]
    facts: FactsArgs,
    #[command(flatten)]
    connection: Connection,
}

/// The stack of the thread that renders, in bytes. minijinja's parser is recursive, and needs up to
/// 2 KiB for a byte of an action; [`actions::LONGEST`] bounds these.
const STACK: usize = 64 << 20;

/// Renders everything, then writes it.
pub(crate) async fn run(args: Args) -> Exit {
    let Args { paths, out, identity, properties, .. } = args;
    let Args { json_properties, prepend, append, facts, connection, .. } = args;
    let options = match connection.options() {
        Ok(options) => options,
        Err(error) => return failed(Exit::Usage, &chain(&error)),
    };
    let fields = match subject::fields(identity, properties, json_properties, env::vars_os()) {
        Ok(fields) => fields,
        Err(message) => return failed(Exit::Usage, &message),
    };
    let identity = fields.get(subject::TARGETING_KEY).and_then(Value::as_str);
    let facts = match facts.check(identity).and_then(|()| facts.once()) {
        Ok(facts) => facts,
        Err(message) => return failed(Exit::Usage, &message),
    };
    if let Some(name) = context::misspelt(&fields) {
        output::complain(&format!("warning: property `{name}`: did you mean --identity?"));
    }
    let mut inputs = match input::find(&paths, out.as_deref()) {
        Ok(inputs) => inputs,
        Err(message) => return failed(Exit::No, &message),
    };
    if out.is_none() {
        inputs.retain(|input| input.is_named || input.is_manifest());
    }
    let from_file = options.resolver() == Resolver::File;
    let around = Around { before: prepend, after: append };
    let provider = provider(options, facts);
    let rendered = match render(provider, json::to_context(fields), inputs, around).await {
        Ok(rendered) => rendered,
        // There is nothing to reach.
        Err(error) if from_file => return failed(Exit::No, &error.message),
        Err(error) => return failed(error.exit, &error.message),
    };
    let written = match out {
        Some(out) => write(&out, &rendered),
        None => print(&rendered),
    };
    written.map_or_else(|message| failed(Exit::No, &message), |()| Exit::Success)
}

/// A file that was rendered; without a text, it is to be copied.
type Rendered = (Input, Option<String>);

/// What stands before and after each template.
struct Around {
    before: String,
    after: String,
}

impl Around {
    fn put(&self, template: &str) -> String {
        [&self.before, template, &self.after].concat()
    }

    /// A line as one of the template. `None` if it belongs to what stands before.
    fn line(&self, line: usize) -> Option<usize> {
        line.checked_sub(self.before.matches('\n').count()).filter(|line| *line > 0)
    }
}

/// Why nothing is written.
struct Failure {
    exit: Exit,
    message: String,
}

impl Failure {
    fn no(message: String) -> Self {
        Self { exit: Exit::No, message }
    }
}

/// Renders the files with the flags of a provider.
async fn render(
    provider: FlagdProvider,
    context: EvaluationContext,
    inputs: Vec<Input>,
    around: Around,
) -> Result<Vec<Rendered>, Failure> {
    provider.clone().initialize(&EvaluationContext::default()).await;
    let flags = Arc::new(Flags::new(provider.clone(), context, Handle::current()));
    let (sender, receiver) = oneshot::channel();
    let work = move || {
        // Nobody waits any more only if this program is ending.
        let _ = sender.send(render_all(&flags, inputs, &around));
    };
    let started = thread::Builder::new().name("render".to_owned()).stack_size(STACK).spawn(work);
    let rendered = match started {
        Err(error) => Err(Failure::no(format!("cannot start a thread: {error}"))),
        Ok(_) => {
            receiver.await.unwrap_or_else(|_| Err(Failure::no("rendering ended early".to_owned())))
        }
    };
    provider.shutdown().await;
    rendered
}

/// The provider that evaluates the flags, with facts if there are any.
fn provider(options: FlagdOptions, facts: Option<Facts>) -> FlagdProvider {
    let provider = FlagdProvider::new(options);
    match facts {
        Some(facts) => provider.with_context_source(facts),
        None => provider,
    }
}

/// Renders one file after the other, until one fails.
fn render_all(
    flags: &Arc<Flags>,
    inputs: Vec<Input>,
    around: &Around,
) -> Result<Vec<Rendered>, Failure> {
    let flags = Arc::clone(flags);
    let engine = Engine::new(move |key: &str| flags.get(key));
    let engine = engine.map_err(|error| Failure::no(error.to_string()))?;
    let render = |input: Input| {
        let content = input.read();
        let content = content.map_err(|error| {
            Failure::no(format!("{}: cannot be read: {error}", shown(&input.path)))
        })?;
        let text = match content {
            Content::Binary => None,
            Content::Template(text) => {
                let rendered = engine.render(&around.put(&text));
                Some(rendered.map_err(|problem| in_file(&input.path, &problem, around))?)
            }
        };
        Ok((input, text))
    };
    inputs.into_iter().map(render).collect()
}

/// A problem with its place, in the form of compilers.
fn in_file(path: &Path, problem: &Problem, around: &Around) -> Failure {
    let line = match problem.line.map(|line| around.line(line)) {
        Some(Some(line)) => format!("{line}:"),
        Some(None) => " --prepend:".to_owned(),
        None => String::new(),
    };
    let exit = if problem.is_unreachable { Exit::Unreachable } else { Exit::No };
    Failure { exit, message: format!("{}:{line} {}", shown(path), problem.message) }
}

/// Writes the files to a directory.
fn write(directory: &Path, rendered: &[Rendered]) -> Result<(), String> {
    let files = rendered.iter().map(|(input, text)| Output { input, text: text.as_deref() });
    tree::write(directory, &files.collect::<Vec<_>>())
}

/// Prints the files as YAML documents. One that cannot be printed is an error only if the user
/// named it.
fn print(rendered: &[Rendered]) -> Result<(), String> {
    let mut texts = Vec::new();
    for (input, text) in rendered {
        match text {
            Some(text) => texts.push(&**text),
            None if input.is_named => {
                return Err(format!(
                    "{}: an archive, or not UTF-8, which cannot be printed; write it with --out DIR",
                    shown(&input.path)
                ));
            }
            None => {}
        }
    }
    let mut out = io::stdout().lock();
    match out.write_all(documents::join(texts).as_bytes()).and_then(|()| out.flush()) {
        // Nobody reads on.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(format!("the output cannot be written: {error}"))
        }
        _ => Ok(()),
    }
}
