//! The one writer of a process, which commits the changes of many callers together.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    thread,
};

use tokio::sync::{mpsc, oneshot};

use super::{
    connection::Connection,
    error::{Cause, StorageError},
    sql::Sql,
};

/// How many changes one transaction has at most, and how many may wait.
const GROUP: usize = 256;
const WAITING: usize = 1024;

/// What is left to do for a change when its transaction has ended: to tell its caller.
type Completion = Box<dyn FnOnce(Result<(), StorageError>) + Send>;

/// A change. Returns whether it is to be kept, and its completion. Without a connection it is
/// only completed.
type Job = Box<dyn FnOnce(Option<&mut Sql<'_>>) -> (bool, Completion) + Send>;

/// The way to the writer's thread, which ends when the last of these is dropped.
pub(super) struct Writer {
    jobs: mpsc::Sender<Job>,
}

impl Writer {
    /// Starts the thread with a connection; `connect` opens another where that has broken.
    pub(super) fn start(
        connection: Connection,
        connect: impl Fn() -> Result<Connection, StorageError> + Send + 'static,
    ) -> Result<Self, StorageError> {
        let (jobs, waiting) = mpsc::channel(WAITING);
        thread::Builder::new()
            .name("storage writer".to_owned())
            .spawn(move || work(Some(connection), &connect, waiting))
            .map_err(|_| StorageError::Closed)?;
        Ok(Self { jobs })
    }

    /// Runs `change` in the next transaction and returns its result after the commit.
    pub(super) async fn run<T, E>(
        &self,
        change: impl FnOnce(&mut Sql<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StorageError> + Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        let job: Job = Box::new(move |sql| {
            let Some(sql) = sql else {
                return (
                    false,
                    Box::new(move |ended| {
                        let error = ended.err().unwrap_or(StorageError::Closed);
                        let _ = sender.send(Err(error.into()));
                    }),
                );
            };
            // A panic must not take the changes of other callers with it.
            let result = catch_unwind(AssertUnwindSafe(|| change(sql)));
            let Ok(result) = result else {
                return (false, Box::new(|_| drop(sender)));
            };
            let keep = result.is_ok();
            let complete: Completion = Box::new(move |ended| {
                let result = match ended {
                    // A change that failed by itself did so whatever became of the others.
                    Err(error) if keep => Err(error.into()),
                    _ => result,
                };
                let _ = sender.send(result);
            });
            (keep, complete)
        });
        if self.jobs.send(job).await.is_err() {
            return Err(StorageError::Closed.into());
        }
        receiver.await.unwrap_or_else(|_| Err(StorageError::Closed.into()))
    }
}

/// The thread: takes what is waiting, runs it in one transaction, and completes it.
fn work(
    mut connection: Option<Connection>,
    connect: &dyn Fn() -> Result<Connection, StorageError>,
    mut waiting: mpsc::Receiver<Job>,
) {
    while let Some(first) = waiting.blocking_recv() {
        let mut jobs = vec![first];
        while jobs.len() < GROUP
            && let Ok(job) = waiting.try_recv()
        {
            jobs.push(job);
        }
        let begun = Connection::begin(connection.take(), connect, Connection::begin_write);
        let mut open = match begun {
            Ok(open) => open,
            Err(error) => {
                complete(jobs.into_iter().map(|job| job(None).1).collect(), Err(error));
                continue;
            }
        };
        let result = transact(&mut open, jobs);
        if open.is_usable() && result.is_ok() {
            connection = Some(open);
        }
    }
}

/// Runs the jobs in the transaction that has begun, ends it, and completes them.
fn transact(connection: &mut Connection, jobs: Vec<Job>) -> Result<(), ()> {
    // One change alone needs no savepoint: if it fails, so does the transaction.
    let alone = jobs.len() == 1;
    let mut completions = Vec::with_capacity(jobs.len());
    let mut kept = 0_usize;
    let mut broken = None;
    for job in jobs {
        if broken.is_none() && !alone {
            broken = connection.batch("SAVEPOINT change").err();
        }
        if broken.is_some() {
            completions.push(job(None).1);
            continue;
        }
        let (keep, completion) = job(Some(&mut connection.sql()));
        completions.push(completion);
        kept += usize::from(keep);
        if !alone {
            let end = if keep {
                "RELEASE SAVEPOINT change"
            } else {
                "ROLLBACK TO SAVEPOINT change; RELEASE SAVEPOINT change"
            };
            broken = connection.batch(end).err();
        }
    }
    let result = match broken {
        Some(error) => Err(error),
        None if kept > 0 => connection.commit(),
        None => connection.end(),
    };
    let ended = if result.is_ok() {
        Ok(())
    } else {
        // SQLite may refuse to commit and still be in the transaction.
        let _ = connection.end();
        Err(())
    };
    complete(completions, result);
    ended
}

/// Tells each caller how its transaction ended.
fn complete(completions: Vec<Completion>, result: Result<(), StorageError>) {
    match result {
        Ok(()) => completions.into_iter().for_each(|it| it(Ok(()))),
        Err(error) => {
            let uncertain = matches!(error, StorageError::Uncertain(_));
            let unreachable = matches!(error, StorageError::Unreachable(_));
            let message = crate::describe(&error);
            for completion in completions {
                let source: Cause = message.clone().into();
                completion(Err(if uncertain {
                    StorageError::Uncertain(source)
                } else if unreachable {
                    StorageError::Unreachable(source)
                } else {
                    StorageError::Transaction(source)
                }));
            }
        }
    }
}
