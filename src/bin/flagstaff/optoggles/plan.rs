//! `flagstaff optoggles plan`: prints what a sync would change.
//!
//! For people:
//!
//! ```text
//! us-only at ld: 1 added, 2 removed, held back
//!   + dave
//!   - alice
//!   - bob
//! us-only at flagd: no change
//! ```

use flagstaff::optoggles::{Engine, Plan, PlannedAction};

use super::file::File;
use crate::{
    excerpt::chain,
    exit::{Exit, failed},
    output,
};

/// Print what a sync would change, by toggle and target, and change nothing.
///
/// Exit code 0: nothing would change; 1: something would change; 2: usage error, or an invalid
/// configuration; 3: unknown, because a source or a target has failed.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    file: File,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: Args) -> Exit {
    let engine = args.file.path().map_err(Into::into).and_then(Engine::from_config);
    let engine = match engine {
        Ok(engine) => engine,
        Err(error) => return failed(Exit::Usage, &chain(&error)),
    };
    let plan = match engine.plan().await {
        Ok(plan) => plan,
        Err(error) => return failed(Exit::Unreachable, &chain(&error)),
    };
    // If nobody reads the lines any more, the exit code still counts.
    let _ = if args.json { json(&plan) } else { text(&plan) };
    if !plan.is_complete() {
        Exit::Unreachable
    } else if plan.changes_anything() {
        Exit::No
    } else {
        Exit::Success
    }
}

/// Prints the plan as JSON; see [`Plan`].
fn json(plan: &Plan) -> std::io::Result<()> {
    // Cannot fail: a plan has no maps with keys other than strings.
    output::line(&serde_json::to_string_pretty(plan).unwrap_or_default())
}

/// Prints the plan for people.
fn text(plan: &Plan) -> std::io::Result<()> {
    for change in &plan.changes {
        let place = format!("{} at {}", change.toggle, change.target);
        match &change.action {
            PlannedAction::Nothing => output::line(&format!("{place}: no change"))?,
            PlannedAction::Change { added, removed, held_back } => {
                let note = if *held_back { ", held back" } else { "" };
                let (plus, minus) = (added.len(), removed.len());
                output::line(&format!("{place}: {plus} added, {minus} removed{note}"))?;
                listed('+', added)?;
                listed('-', removed)?;
            }
            PlannedAction::Write { users } => {
                output::line(&format!("{place}: {} users, unknown before", users.len()))?;
                listed('=', users)?;
            }
            PlannedAction::SwitchOff => output::line(&format!("{place}: switched off"))?,
            PlannedAction::Delete => output::line(&format!("{place}: deleted"))?,
            PlannedAction::Undefined => output::line(&format!("{place}: the rule is undefined"))?,
            PlannedAction::Failed { error } => output::line(&format!("{place}: failed: {error}"))?,
            _ => {}
        }
    }
    Ok(())
}

/// Prints users one a line, after a sign.
fn listed(sign: char, users: &[String]) -> std::io::Result<()> {
    // A name may contain anything, even a line break.
    users.iter().try_for_each(|user| output::line(&format!("  {sign} {}", user.escape_debug())))
}
