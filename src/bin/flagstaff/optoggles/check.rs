//! `flagstaff optoggles check`: checks a configuration before it is deployed.
//!
//! Problems go to standard output in the form `file:line:column: error: message`, which
//! editors and CI systems turn into links.

use flagstaff::optoggles::{Config, ConfigError, Engine};

use super::file::File;
use crate::{
    excerpt::chain,
    exit::{Exit, failed},
    output,
};

/// Check a configuration, and report every error: unknown keys, invalid values, duplicates, and names of
/// sources or targets that do not exist, with line and column; and if there is none of these, URLs,
/// headers, and specs that lack what a target needs.
///
/// Exit code 0: it is valid; 1: it is invalid, or (with --live) a source or a target does not answer or
/// rejects its token; 2: usage error.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    file: File,
    /// Also check that every source and target answers and accepts its token.
    #[arg(long)]
    live: bool,
}

pub(super) async fn run(args: Args) -> Exit {
    let path = match args.file.path() {
        Ok(path) => path,
        Err(error) => return failed(Exit::Usage, &chain(&error)),
    };
    let config = match Config::load(&path) {
        Ok(config) => config,
        Err(ConfigError::Invalid(problems)) => {
            for problem in problems {
                let place = format!("{}:{}:{}", path.display(), problem.line, problem.column);
                if output::line(&format!("{place}: error: {}", problem.message)).is_err() {
                    break;
                }
            }
            return Exit::No;
        }
        Err(error) => return failed(Exit::No, &chain(&error)),
    };
    let engine = Engine::from(config);
    match engine.validate().await {
        Ok(problems) if problems.is_empty() => {}
        Ok(problems) => {
            for problem in &problems {
                if output::line(&format!("{}: error: {}", path.display(), chain(problem))).is_err()
                {
                    break;
                }
            }
            return Exit::No;
        }
        Err(error) => return failed(Exit::No, &chain(&error)),
    }
    if !args.live {
        return Exit::Success;
    }
    match engine.check().await {
        Ok(failures) => {
            for failure in &failures {
                if output::line(&chain(failure)).is_err() {
                    break;
                }
            }
            if failures.is_empty() { Exit::Success } else { Exit::No }
        }
        Err(error) => failed(Exit::No, &chain(&error)),
    }
}
