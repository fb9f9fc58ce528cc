//! The script that a scripted server follows, and the state that its handlers share.

use std::{
    collections::{HashMap, VecDeque},
    future::pending,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use prost_types::Struct;
use tokio::sync::{mpsc, watch};
use tokio_stream::Stream;
use tonic::Status;

use super::{
    Missing, Versions,
    flags::{Answer, Flag, answer, any_answer},
    gate::GateState,
    observed::{Call, Observed},
};

/// What happens to a unary call.
#[derive(Clone, Debug)]
pub enum Behaviour {
    /// This status instead of a response.
    Fail(Status),
    /// No response, ever.
    Hang,
    /// The response is computed when the call arrives and withheld until the gate releases it.
    Gate(Arc<GateState>),
}

/// What happens to a call for an event stream.
#[derive(Clone, Debug, Default)]
pub enum StreamMode {
    /// Opens, with `provider_ready` as its first message.
    #[default]
    Ready,
    /// Opens and sends nothing by itself.
    Silent,
    /// Opens and ends at once.
    CloseAtOnce,
    /// Opens, sends `provider_ready` and ends at once.
    ReadyThenClose,
    /// Is rejected.
    Fail(Status),
    /// Never gets a response, not even headers.
    Hang,
}

/// An event of the stream, of either version.
#[derive(Clone, Debug)]
pub struct Event {
    pub kind: String,
    pub data: Option<Struct>,
}

impl Event {
    fn ready() -> Self {
        Self { kind: "provider_ready".to_owned(), data: Some(Struct::default()) }
    }
}

#[derive(Debug, Default)]
pub(super) struct Script {
    pub(super) flags: HashMap<String, Flag>,
    pub(super) behaviours: HashMap<String, Behaviour>,
    pub(super) everything: Option<Behaviour>,
    pub(super) versions: Versions,
    pub(super) missing: Missing,
    pub(super) stream_mode: StreamMode,
    pub(super) next_streams: VecDeque<StreamMode>,
    pub(super) without_log: bool,
}

impl Script {
    fn behaviour(&self, key: &str) -> Option<&Behaviour> {
        self.behaviours.get(key).or(self.everything.as_ref())
    }
}

type Outlet = mpsc::UnboundedSender<Result<Event, Status>>;

#[derive(Debug)]
pub(super) struct Core {
    pub(super) script: Mutex<Script>,
    pub(super) observed: Arc<watch::Sender<Observed>>,
    pub(super) outlets: Mutex<HashMap<u64, Outlet>>,
    next_outlet: AtomicU64,
}

impl Core {
    pub(super) fn new(script: Script) -> Self {
        Self {
            script: Mutex::new(script),
            observed: Arc::new(watch::Sender::new(Observed::default())),
            outlets: Mutex::default(),
            next_outlet: AtomicU64::new(0),
        }
    }

    /// Responds to a unary call for one flag.
    pub(super) async fn resolve(&self, call: Call) -> Result<Answer, Status> {
        let (answer, behaviour) = {
            let script = self.script.lock().unwrap();
            let flag = script.flags.get(&call.flag_key);
            let answer = answer(flag, call.version, call.method);
            let behaviour = script.behaviour(&call.flag_key).cloned();
            self.observe(call, &script);
            (answer, behaviour)
        };
        Self::behave(behaviour).await?;
        answer
    }

    /// Responds to v1's `ResolveAll`.
    pub(super) async fn resolve_all(&self, call: Call) -> Result<Vec<(String, Answer)>, Status> {
        let (answers, behaviour) = {
            let script = self.script.lock().unwrap();
            let failure = |key| match script.behaviour(key) {
                Some(Behaviour::Fail(status)) => Some(status),
                _ => None,
            };
            let answers = script
                .flags
                .iter()
                .filter_map(|(key, flag)| Some((key.clone(), any_answer(flag, failure(key))?)))
                .collect();
            let behaviour = script.everything.clone();
            self.observe(call, &script);
            (answers, behaviour)
        };
        Self::behave(behaviour).await?;
        Ok(answers)
    }

    async fn behave(behaviour: Option<Behaviour>) -> Result<(), Status> {
        match behaviour {
            None => Ok(()),
            Some(Behaviour::Fail(status)) => Err(status),
            Some(Behaviour::Hang) => pending().await,
            Some(Behaviour::Gate(gate)) => {
                gate.pass().await;
                Ok(())
            }
        }
    }

    fn observe(&self, call: Call, script: &Script) {
        self.observed.send_modify(|observed| observed.add(call, !script.without_log));
    }

    /// Opens an event stream, or not, according to the script.
    pub(super) async fn open_stream(self: &Arc<Self>, call: Call) -> Result<Events, Status> {
        let mode = {
            let mut script = self.script.lock().unwrap();
            let default = script.stream_mode.clone();
            let mode = match &script.everything {
                Some(Behaviour::Fail(status)) => StreamMode::Fail(status.clone()),
                _ => script.next_streams.pop_front().unwrap_or(default),
            };
            self.observe(call, &script);
            mode
        };
        let (ready, stays) = match mode {
            StreamMode::Ready => (true, true),
            StreamMode::Silent => (false, true),
            StreamMode::CloseAtOnce => (false, false),
            StreamMode::ReadyThenClose => (true, false),
            StreamMode::Fail(status) => return Err(status),
            StreamMode::Hang => pending().await,
        };
        let (outlet, events) = mpsc::unbounded_channel();
        if ready {
            let _ = outlet.send(Ok(Event::ready()));
        }
        let id = self.next_outlet.fetch_add(1, Ordering::Relaxed);
        if stays {
            self.outlets.lock().unwrap().insert(id, outlet);
        }
        self.observed.send_modify(|observed| observed.streams_open += 1);
        Ok(Events { queue: events, id, core: Arc::clone(self) })
    }
}

/// An open event stream; hyper drops it when either side ends it.
#[derive(Debug)]
pub(super) struct Events {
    queue: mpsc::UnboundedReceiver<Result<Event, Status>>,
    id: u64,
    core: Arc<Core>,
}

impl Stream for Events {
    type Item = Result<Event, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.queue.poll_recv(context)
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.core.outlets.lock().unwrap().remove(&self.id);
        self.core.observed.send_modify(|observed| observed.streams_open -= 1);
    }
}
