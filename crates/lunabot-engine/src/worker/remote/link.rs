//! A connected worker behind the engine's link.

use super::folders;
use super::session::Session;
use crate::worker::{CommandSink, LinkError, WorkerLink};
use async_trait::async_trait;
use lunabot_model::Clock;
use lunabot_proto::master::Call;
use lunabot_proto::{Command, WorkerInfo};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long a worker may take to set up its builders: it may delete large folders meanwhile.
const SET_UP: Duration = Duration::from_secs(1800);
/// How long a worker may take to end after it said that it will.
const END: Duration = Duration::from_secs(30);

pub(super) struct RemoteLink {
    pub session: Arc<Session>,
    pub info: WorkerInfo,
    pub clock: Arc<dyn Clock>,
    /// Whose turn it is on builders that run one command at a time.
    turns: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

impl RemoteLink {
    pub fn new(session: Arc<Session>, info: WorkerInfo, clock: Arc<dyn Clock>) -> Self {
        RemoteLink { session, info, clock, turns: Mutex::default() }
    }

    fn turn_of(&self, builder: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        turns.entry(builder.into()).or_default().clone()
    }
}

#[async_trait]
impl WorkerLink for RemoteLink {
    fn info(&self) -> &WorkerInfo {
        &self.info
    }

    /// Always the whole list: a worker may delete the folders of builders that are not in it. No builders at all is more
    /// likely a configuration under way than a wish to delete everything.
    async fn set_builders(&self, builders: &[(String, String)]) -> Result<(), LinkError> {
        if builders.is_empty() {
            return Ok(());
        }
        if self.session.keeps_folders {
            self.session.ask_within(Call::Builders(builders.to_vec()), SET_UP).await?;
        } else {
            folders::make(&self.session, &self.info, builders).await?;
        }
        for _ in builders {
            self.session.tell(Call::Print("attached".into())).await?;
        }
        Ok(())
    }

    async fn ping(&self) -> Result<(), LinkError> {
        self.session.ask(Call::Print("ping".into())).await.map(|_| ())
    }

    async fn start_build(&self, builder: &str) -> Result<(), LinkError> {
        self.session.ask(Call::StartBuild(builder.into())).await.map(|_| ())
    }

    async fn start_command(
        &self,
        builder: &str,
        command: Command,
        sink: Arc<dyn CommandSink>,
    ) -> Result<(), LinkError> {
        let turn = if self.session.one_command_per_builder {
            let turn = self.turn_of(builder).lock_owned();
            tokio::select! {
                turn = turn => Some(turn),
                () = self.session.closed() => return Err(LinkError::Lost),
            }
        } else {
            None
        };
        self.session.start_command(Some(builder.into()), command, sink, turn).await
    }

    async fn interrupt_command(&self, builder: &str, command_id: &str, why: &str) -> Result<(), LinkError> {
        self.session.interrupt(builder, command_id, why).await
    }

    /// The worker closes the connection; one that does not is left.
    async fn shutdown(&self) -> Result<(), LinkError> {
        let asked = self.session.ask(Call::Shutdown).await;
        if asked.is_ok() {
            let (session, clock) = (self.session.clone(), self.clock.clone());
            tokio::spawn(async move {
                tokio::select! {
                    () = session.closed() => {}
                    () = clock.sleep(END) => session.close(),
                }
            });
        }
        // One that ended before it could answer has done what it was told.
        asked.map(|_| ()).or_else(|error| if error == LinkError::Lost { Ok(()) } else { Err(error) })
    }

    async fn disconnect(&self) {
        self.session.close();
    }
}
