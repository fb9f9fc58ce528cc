//! `check`: whether a server could start and read all that it has.

use crate::{
    describe,
    program::Failure,
    settings::Serving,
    signin::SignInSettings,
    storage::{Database, Existing, Migration},
};

/// What the checks found.
#[derive(Debug, Default)]
pub struct Findings {
    lines: Vec<String>,
    problems: usize,
}

impl Findings {
    /// Notes something that is as it should be.
    pub fn good(&mut self, line: impl Into<String>) {
        self.lines.push(line.into());
    }

    /// Notes a problem.
    pub fn bad(&mut self, line: impl Into<String>) {
        self.problems += 1;
        self.lines.push(format!("PROBLEM {}", line.into()));
    }

    /// Prints what was found.
    ///
    /// # Errors
    ///
    /// How many problems there are, if any.
    pub fn print(&self) -> Result<(), Failure> {
        for line in &self.lines {
            println!("{line}");
        }
        match self.problems {
            0 => Ok(()),
            1 => Err("1 problem was found".into()),
            count => Err(format!("{count} problems were found").into()),
        }
    }
}

/// Checks the certificate, how people sign in, and a database without changing it. `more` checks
/// what the program has in it, and gets the version of its schema.
pub async fn run(
    serving: &Serving,
    sign_in: Option<&SignInSettings>,
    database: &Database,
    program: &'static str,
    migrations: &'static [Migration],
    more: impl FnOnce(&mut Existing, i64, &mut Findings) + Send + 'static,
) -> Findings {
    // Options that are invalid by themselves have been reported before.
    let certificates = serving.certificates();
    let options = sign_in.map_or(Ok(()), SignInSettings::check);
    if options.is_ok() && certificates.is_ok() {
        println!("options: valid");
    }
    println!("database: {database}");
    let found = database.inspect(move |existing| Ok(inspect(existing, program, migrations, more)));
    let mut findings = found.await.unwrap_or_else(|error| {
        let mut findings = Findings::default();
        findings.bad(format!("database: {}", describe(&error)));
        findings
    });
    if let Err(error) = certificates {
        findings.bad(format!("options: {}", describe(&error)));
    }
    if let Err(error) = options {
        findings.bad(format!("options: {}", describe(&*error)));
    }
    findings
}

fn inspect(
    existing: &mut Existing,
    program: &str,
    migrations: &[Migration],
    more: impl FnOnce(&mut Existing, i64, &mut Findings),
) -> Findings {
    let mut findings = Findings::default();
    let last = migrations.last().map_or(0, |it| it.version);
    let version = existing.version(migrations);
    match &version {
        Ok(0) => findings.bad(format!("schema: none, so this is not a database of {program}")),
        Ok(version) if *version == last => findings.good(format!("schema: version {version}")),
        Ok(version) => findings.good(format!(
            "schema: version {version}, which the next start brings to version {last}"
        )),
        Err(error) => findings.bad(format!("schema: {}", describe(error))),
    }
    match existing.defects() {
        Ok(defects) if defects.is_empty() => findings.good("integrity: ok"),
        Ok(defects) => findings.bad(format!("integrity: {}", defects.join("; "))),
        Err(error) => findings.bad(format!("integrity: {}", describe(&error))),
    }
    if let Ok(version @ 1..) = version {
        more(existing, version, &mut findings);
    }
    findings
}
