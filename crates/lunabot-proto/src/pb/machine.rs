//! The master's end of one PB connection to a worker, from the login on.

use super::broker::{Broker, Object, Spoken};
use super::{Failure, Jelly};
use crate::master::{Answer, Call, Heard, MasterProtocol, ProtocolError, Token, Wants};
use crate::{Command, Transfer, Update, Value, WorkerInfo, arguments, names, wire_update};
use bytes::Bytes;
use std::collections::HashMap;

/// See the module.
pub struct PbMaster {
    broker: Broker,
    /// The login, until it is answered.
    login: Option<i64>,
    /// The worker's own object.
    bot: i64,
    /// The worker's builders, by name.
    builders: HashMap<String, i64>,
    waiting: HashMap<i64, Asked>,
    /// Our objects that the worker may call.
    objects: HashMap<i64, Role>,
    /// The objects of each running command.
    commands: HashMap<String, Vec<i64>>,
}

/// What a call asked for, where its answer matters.
enum Asked {
    Info,
    Builders,
    Start(String),
    Other,
}

/// What an object of ours stands for.
#[derive(Clone)]
enum Role {
    /// What a worker gets for its login.
    Avatar,
    Command(String),
    /// The end of a transfer of this command.
    Files(String, Way),
}

/// What is transferred.
#[derive(Clone, Copy)]
enum Way {
    File,
    Directory,
    Download,
}

impl PbMaster {
    pub(super) fn new(broker: Broker, login: i64, bot: i64) -> Self {
        PbMaster {
            broker,
            login: Some(login),
            bot,
            builders: HashMap::new(),
            waiting: HashMap::new(),
            objects: HashMap::new(),
            commands: HashMap::new(),
        }
    }

    fn object(&mut self, role: Role) -> i64 {
        let id = self.broker.export();
        self.objects.insert(id, role);
        id
    }

    fn ask(
        &mut self,
        object: i64,
        method: &str,
        args: Vec<Jelly>,
        kwargs: Jelly,
        asked: Asked,
    ) -> Result<Option<u64>, ProtocolError> {
        let sent = self.broker.call(object, method, args, kwargs);
        let request = sent.map_err(|error| ProtocolError(error.to_string()))?;
        self.waiting.insert(request, asked);
        Ok(Some(request.cast_unsigned()))
    }

    fn ask_bot(
        &mut self,
        method: &str,
        args: Vec<Jelly>,
        asked: Asked,
    ) -> Result<Option<u64>, ProtocolError> {
        self.ask(self.bot, method, args, no_kwargs(), asked)
    }

    fn ask_builder(
        &mut self,
        builder: Option<&str>,
        method: &str,
        args: Vec<Jelly>,
        asked: Asked,
    ) -> Result<Option<u64>, ProtocolError> {
        let name = builder.unwrap_or_default();
        let unknown = || ProtocolError(format!("the worker has no builder {name:?}"));
        let builder = *self.builders.get(name).ok_or_else(unknown)?;
        self.ask(builder, method, args, no_kwargs(), asked)
    }

    fn print(&mut self, text: &str) -> Result<Option<u64>, ProtocolError> {
        let kwargs = Jelly::Dict(vec![("message".into(), text.into())]);
        self.ask(self.bot, "print", Vec::new(), kwargs, Asked::Other)
    }

    /// Registered before it is sent: a command that ends at once reports before its start is answered.
    fn start(&mut self, builder: Option<&str>, command: Command) -> Result<Option<u64>, ProtocolError> {
        let (id, name) = (command.id.clone(), pb_name(&command.name));
        let own = self.object(Role::Command(id.clone()));
        let mut objects = vec![own];
        let mut args = Jelly::from(&Value::Dict(arguments::accepted(command)));
        if let (Some((key, way)), Jelly::Dict(pairs)) = (transfer_of(&name), &mut args) {
            let files = self.object(Role::Files(id.clone(), way));
            objects.push(files);
            pairs.push((key.into(), Jelly::Remote(files)));
        }
        self.commands.insert(id.clone(), objects);
        let call = vec![Jelly::Remote(own), Jelly::Text(id.clone()), Jelly::Text(name), args];
        let asked = self.ask_builder(builder, "startCommand", call, Asked::Start(id.clone()));
        if asked.is_err() {
            self.forget(&id);
        }
        asked
    }

    fn forget(&mut self, command: &str) {
        for object in self.commands.remove(command).into_iter().flatten() {
            self.objects.remove(&object);
        }
    }

    fn answered(&mut self, request: i64, result: Result<Jelly, Failure>) -> Option<Heard> {
        let asked = self.waiting.remove(&request)?;
        let result = match (asked, result) {
            (Asked::Info, Ok(info)) => Ok(Answer::Info(Box::new(WorkerInfo::tolerant(info.plain())))),
            (Asked::Builders, Ok(builders)) => {
                self.learn_builders(&builders);
                Ok(Answer::Done)
            }
            (Asked::Start(command), Err(failure)) => {
                self.forget(&command);
                Err(failure)
            }
            (Asked::Start(_) | Asked::Other, Ok(_)) => Ok(Answer::Done),
            (Asked::Info | Asked::Builders | Asked::Other, Err(failure)) => Err(failure),
        };
        let result = result.map_err(|failure| failure.to_string());
        Some(Heard::Answered { call: request.cast_unsigned(), result })
    }

    /// Each list brings one copy of each reference: those of the list before are let go.
    fn learn_builders(&mut self, answer: &Jelly) {
        let Jelly::Dict(pairs) = answer else { return };
        let known = pairs.iter().filter_map(|(name, reference)| match reference {
            Jelly::Remote(id) => Some((name.text()?, *id)),
            _ => None,
        });
        let before = std::mem::replace(&mut self.builders, known.collect());
        for id in before.into_values() {
            self.broker.drop_reference(id);
        }
    }

    fn called(
        &mut self,
        request: Option<i64>,
        object: Object,
        method: &str,
        args: Vec<Jelly>,
    ) -> Option<Heard> {
        let role = match object {
            Object::Id(id) => self.objects.get(&id).cloned(),
            Object::Root => None,
        };
        let token = |wants| Token { request: request.unwrap_or(NOBODY), wants };
        let heard = match role {
            Some(Role::Avatar) if method == "keepalive" => {
                self.answer(token(Wants::Nothing), Ok(Bytes::new()));
                return None;
            }
            Some(Role::Avatar) if method == "shutdown" => {
                Some(Heard::WantsToStop { token: token(Wants::Nothing) })
            }
            Some(Role::Command(command)) => self.command_called(command, method, args, &token),
            Some(Role::Files(command, way)) => files_called(way, method, args).map(|request| {
                let wants =
                    if matches!(request, Transfer::Read { .. }) { Wants::Data } else { Wants::Nothing };
                Heard::Transfer { command, request, token: token(wants) }
            }),
            Some(Role::Avatar) | None => None,
        };
        if let (None, Some(request)) = (&heard, request) {
            self.broker.fail(request, &Failure::no_such(method));
        }
        heard
    }

    fn command_called(
        &mut self,
        command: String,
        method: &str,
        mut args: Vec<Jelly>,
        token: &dyn Fn(Wants) -> Token,
    ) -> Option<Heard> {
        match (method, args.as_mut_slice()) {
            ("update", [list]) => {
                let updates = updates(std::mem::replace(list, Jelly::None));
                Some(Heard::Updates { command, updates, token: token(Wants::Number) })
            }
            ("complete", [failure]) => {
                self.forget(&command);
                let failure = match failure {
                    Jelly::None => None,
                    other => Some(Failure::read(other).to_string()),
                };
                Some(Heard::Complete { command, failure, token: token(Wants::Nothing) })
            }
            _ => None,
        }
    }
}

/// The number in tokens of calls that want no answer.
const NOBODY: i64 = -1;

impl MasterProtocol for PbMaster {
    fn receive(&mut self, bytes: Bytes) -> Result<Vec<Heard>, ProtocolError> {
        self.broker.feed(&bytes);
        let mut heard = Vec::new();
        while let Some(spoken) = self.broker.hear()? {
            heard.extend(match spoken {
                Spoken::Call { request, object, method, args, .. } => {
                    self.called(request, object, &method, args)
                }
                Spoken::Answer { request, value } => self.answered(request, Ok(value)),
                Spoken::Failed { request, failure } => self.answered(request, Err(failure)),
            });
        }
        Ok(heard)
    }

    fn call(&mut self, call: Call) -> Result<Option<u64>, ProtocolError> {
        match call {
            Call::Print(text) => self.print(&text),
            Call::Keepalive => self.print("keepalive"),
            Call::Info => self.ask_bot("getWorkerInfo", Vec::new(), Asked::Info),
            Call::Settings => Ok(None),
            Call::Builders(list) => {
                let pair = |(name, dir)| Jelly::Tuple(vec![Jelly::Text(name), Jelly::Text(dir)]);
                let list = Jelly::List(list.into_iter().map(pair).collect());
                self.ask_bot("setBuilderList", vec![list], Asked::Builders)
            }
            Call::StartBuild(builder) => {
                self.ask_builder(Some(&builder), "startBuild", Vec::new(), Asked::Other)
            }
            Call::Start { builder, command } => self.start(builder.as_deref(), command),
            Call::Interrupt { builder, command, why } => {
                let args = vec![Jelly::Text(command), Jelly::Text(why)];
                self.ask_builder(builder.as_deref(), "interruptCommand", args, Asked::Other)
            }
            Call::Shutdown => self.ask_bot("shutdown", Vec::new(), Asked::Other),
        }
    }

    fn answer(&mut self, token: Token, result: Result<Bytes, String>) {
        if token.request == NOBODY {
            return;
        }
        match result {
            Ok(data) => {
                let value = match token.wants {
                    Wants::Nothing => Jelly::None,
                    // The number of the last update, which is always this.
                    Wants::Number => Jelly::Int(0),
                    Wants::Data => Jelly::Bytes(data),
                };
                self.broker.answer(token.request, &value);
            }
            Err(text) => self.broker.fail(token.request, &Failure::error(&text)),
        }
    }

    /// The worker counts itself as connected from then on.
    fn welcome(&mut self) {
        let Some(request) = self.login.take() else { return };
        let avatar = self.object(Role::Avatar);
        self.broker.answer(request, &Jelly::Remote(avatar));
    }

    /// Any other failure than this one would end the worker's process.
    fn refuse(&mut self) {
        if let Some(request) = self.login.take() {
            self.broker.fail(request, &Failure::unauthorized());
        }
    }

    fn output(&mut self) -> Vec<Bytes> {
        self.broker.output()
    }

    fn keeps_folders(&self) -> bool {
        true
    }

    fn outlives_connection(&self) -> bool {
        false
    }

    fn one_command_per_builder(&self) -> bool {
        true
    }
}

fn no_kwargs() -> Jelly {
    Jelly::Dict(Vec::new())
}

/// The argument that holds the reference of a transfer, and its way.
fn transfer_of(name: &str) -> Option<(&'static str, Way)> {
    match name {
        names::UPLOAD_FILE => Some(("writer", Way::File)),
        names::UPLOAD_DIRECTORY => Some(("writer", Way::Directory)),
        names::DOWNLOAD_FILE => Some(("reader", Way::Download)),
        _ => None,
    }
}

fn pb_name(name: &str) -> String {
    match name {
        names::UPLOAD_FILE_MSGPACK => names::UPLOAD_FILE,
        names::UPLOAD_DIRECTORY_MSGPACK => names::UPLOAD_DIRECTORY,
        names::DOWNLOAD_FILE_MSGPACK => names::DOWNLOAD_FILE,
        other => other,
    }
    .into()
}

/// Pairs of news and their number; news is a dictionary of one key or more.
fn updates(list: Jelly) -> Vec<Update> {
    let (Jelly::List(pairs) | Jelly::Tuple(pairs)) = list else { return Vec::new() };
    let mut updates = Vec::with_capacity(pairs.len());
    for pair in pairs {
        let (Jelly::List(parts) | Jelly::Tuple(parts)) = pair else { continue };
        if let Some(Value::Dict(news)) = parts.into_iter().next().map(Jelly::plain) {
            updates.extend(news.into_iter().map(|(key, value)| wire_update::read(key, value)));
        }
    }
    updates
}

fn files_called(way: Way, method: &str, args: Vec<Jelly>) -> Option<Transfer> {
    let block = |block| match way {
        Way::Directory => Transfer::WriteDirectory(block),
        Way::File | Way::Download => Transfer::Write(block),
    };
    let mut args = args.into_iter();
    match (method, args.next()) {
        ("write", Some(Jelly::Bytes(bytes))) => Some(block(bytes)),
        ("write", Some(Jelly::Text(text))) => Some(block(text.into())),
        ("close", None) => {
            Some(if matches!(way, Way::Download) { Transfer::CloseRead } else { Transfer::Close })
        }
        ("utime", Some(times)) => {
            let [accessed, modified] = times.items()? else { return None };
            let seconds = |value: &Jelly| value.clone().plain().as_f64();
            Some(Transfer::Utime { accessed: seconds(accessed)?, modified: seconds(modified)? })
        }
        ("unpack", None) => Some(Transfer::Unpack),
        ("read", Some(Jelly::Int(length))) => Some(Transfer::Read { length: usize::try_from(length).ok()? }),
        _ => None,
    }
}
