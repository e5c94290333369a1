//! Whole recorded PB connections: what the worker said goes in, the same answers and calls must come out.

use crate::banana::trees;
use crate::recorded::{self, From, unhex};
use bytes::Bytes;
use lunabot_proto::master::{Answer, Call, Heard, MasterProtocol, Token};
use lunabot_proto::pb::banana::encode;
use lunabot_proto::pb::{Door, Jelly, PbMaster, Sexp};
use lunabot_proto::{Command, Dict, Value};
use std::collections::{BTreeMap, HashMap};

/// Recordings in which a worker was let in.
const CONNECTIONS: &[&str] = &[
    "pb-login",
    "pb-shell",
    "pb-long",
    "pb-timeout",
    "pb-interrupt",
    "pb-transfer",
    "pb-fs",
    "pb-logfile",
    "pb-failure",
    "pb-badname",
    "pb-lost",
    "pb-cut",
    "pb-cut.conn2",
    "pb-dup-first",
    "pb-leftover",
    "pb-reconfig",
    "pb-graceful",
    "pb-mastershutdown",
    "pb-keepalive",
];

fn bytes_of(tree: &Sexp) -> Bytes {
    let mut out = Vec::new();
    encode(tree, true, &mut out).unwrap();
    out.into()
}

fn word(tree: &Sexp) -> String {
    String::from_utf8(tree.as_list().unwrap()[0].as_bytes().unwrap().to_vec()).unwrap()
}

struct Replay {
    name: String,
    machine: PbMaster,
    /// Requests of the worker that wait for the recorded answer.
    tokens: HashMap<i64, Token>,
    /// The worker's builders by its numbers.
    builders: HashMap<i64, String>,
    heard: Vec<Heard>,
    texts: BTreeMap<String, Vec<String>>,
}

impl Replay {
    /// Everything that was said in turn: the worker's words are fed, the master's are made again and compared.
    fn run(name: &str) -> Replay {
        let mut sides = HashMap::new();
        for side in [From::Worker, From::Master] {
            let mut all = trees(&recorded::bytes(name, side), 1 << 20);
            all.reverse();
            sides.insert(side == From::Worker, all);
        }
        let order: Vec<From> = recorded::decoded(name)
            .into_iter()
            .filter(|(_, m)| m.get("sexp").is_some())
            .map(|(side, _)| side)
            .collect();
        let mut order = order.into_iter();
        let mut next = || {
            let side = order.next()?;
            Some((side, sides.get_mut(&(side == From::Worker)).unwrap().pop().unwrap()))
        };
        let mut door = Door::new(challenge(name));
        let mut sent = Vec::new();
        let mut expected = Vec::new();
        let knock = loop {
            let (side, tree) = next().unwrap();
            if side == From::Master {
                expected.push(tree);
                continue;
            }
            door.feed(&bytes_of(&tree));
            sent.extend(door.output().into_iter().flat_map(|bytes| trees(&bytes, 1 << 20)));
            if let Some(knock) = door.knock().unwrap() {
                break knock;
            }
            sent.extend(door.output().into_iter().flat_map(|bytes| trees(&bytes, 1 << 20)));
        };
        assert_eq!(sent, expected, "{name}: greeting and challenge");
        assert!(knock.proof.fits("pa55wörd"), "{name}");
        let mind = knock.mind.unwrap();
        let mut replay = Replay {
            name: name.into(),
            machine: door.worker(&knock, mind),
            tokens: HashMap::new(),
            builders: HashMap::new(),
            heard: Vec::new(),
            texts: BTreeMap::new(),
        };
        while let Some((side, tree)) = next() {
            match side {
                From::Worker => replay.hear(&tree),
                From::Master => replay.say(&tree),
            }
        }
        replay
    }

    fn hear(&mut self, tree: &Sexp) {
        let bytes = bytes_of(tree);
        // In two pieces, to be sure.
        let (a, b) = bytes.split_at(bytes.len() / 2);
        let mut heard = self.machine.receive(Bytes::copy_from_slice(a)).unwrap();
        heard.extend(self.machine.receive(Bytes::copy_from_slice(b)).unwrap());
        if word(tree) == "answer"
            && let Some([_, _, value]) = tree.as_list()
            && let Ok(Jelly::Dict(pairs)) = Jelly::read(value)
        {
            for (name, reference) in pairs {
                if let (Some(name), Jelly::Remote(id)) = (name.text(), reference) {
                    self.builders.insert(id, name);
                }
            }
        }
        if let ("message", Some([_, request, ..])) = (word(tree).as_str(), tree.as_list()) {
            let request = request.as_int().unwrap();
            for heard in &heard {
                if let Heard::Updates { token, .. }
                | Heard::Complete { token, .. }
                | Heard::Transfer { token, .. }
                | Heard::WantsToStop { token } = heard
                {
                    self.tokens.insert(request, *token);
                }
            }
        }
        for heard in &heard {
            if let Heard::Updates { command, updates, .. } = heard {
                let texts = self.texts.entry(command.clone()).or_default();
                texts.extend(updates.iter().map(|update| update.key().to_owned()));
            }
        }
        self.heard.extend(heard);
    }

    /// Makes the machine say what the recorded master said.
    fn say(&mut self, tree: &Sexp) {
        match (word(tree).as_str(), tree.as_list().unwrap()) {
            ("message", [_, _, object, method, _, args, kwargs]) => {
                let method = String::from_utf8(method.as_bytes().unwrap().to_vec()).unwrap();
                let call = self.call(object.as_int().unwrap(), &method, args, kwargs);
                assert!(self.machine.call(call).unwrap().is_some(), "{}", self.name);
                self.compare(tree);
            }
            ("answer", [_, request, value]) => {
                let request = request.as_int().unwrap();
                match self.tokens.remove(&request) {
                    Some(token) => {
                        let data = match value {
                            Sexp::Bytes(data) => data.clone(),
                            _ => Bytes::new(),
                        };
                        self.machine.answer(token, Ok(data));
                        self.compare(tree);
                    }
                    // The login's, and those of keepalives, which the machine answers itself.
                    None => {
                        self.machine.welcome();
                        self.compare(tree);
                    }
                }
            }
            // When a reference is let go is up to each side.
            ("decref", _) => {}
            (other, _) => panic!("{}: the master says {other}", self.name),
        }
    }

    fn compare(&mut self, wanted: &Sexp) {
        let said: Vec<Sexp> = self.machine.output().iter().flat_map(|bytes| trees(bytes, 1 << 20)).collect();
        let said: Vec<Sexp> = said.into_iter().filter(|tree| word(tree) != "decref").collect();
        let said: Vec<Sexp> = said.into_iter().map(sorted).collect();
        assert_eq!(said, [sorted(wanted.clone())], "{}", self.name);
    }

    fn call(&self, object: i64, method: &str, args: &Sexp, kwargs: &Sexp) -> Call {
        let (Jelly::Tuple(args), Jelly::Dict(kwargs)) =
            (Jelly::read(args).unwrap(), Jelly::read(kwargs).unwrap())
        else {
            panic!("arguments")
        };
        let text = |at: usize| args[at].text().unwrap();
        let builder = self.builders.get(&object).cloned();
        match method {
            "print" => Call::Print(kwargs[0].1.text().unwrap()),
            "getWorkerInfo" => Call::Info,
            "setBuilderList" => {
                let pair = |pair: &Jelly| {
                    let [name, dir] = pair.items().unwrap() else { panic!("a pair") };
                    (name.text().unwrap(), dir.text().unwrap())
                };
                Call::Builders(args[0].items().unwrap().iter().map(pair).collect())
            }
            "startBuild" => Call::StartBuild(builder.unwrap()),
            "startCommand" => {
                let Value::Dict(options) = args[3].clone().plain() else { panic!("a dict") };
                // The machine adds references and numbers of its own.
                let options: Dict =
                    options.into_iter().filter(|(key, _)| key != "writer" && key != "reader").collect();
                Call::Start { builder, command: Command::new(text(1), text(2), options) }
            }
            "interruptCommand" => Call::Interrupt { builder, command: text(0), why: text(1) },
            "shutdown" => Call::Shutdown,
            other => panic!("{other}"),
        }
    }
}

pub fn challenge(name: &str) -> [u8; 16] {
    let answer =
        recorded::decoded(name).into_iter().find(|(_, message)| message["answers"] == "login").unwrap().1;
    let challenge = &answer["sexp"][2][1];
    let bytes = match challenge["$hex"].as_str() {
        Some(hex) => unhex(hex),
        None => challenge.as_str().unwrap().as_bytes().to_vec(),
    };
    bytes.try_into().unwrap()
}

/// The same tree with the pairs of dictionaries in one order.
fn sorted(tree: Sexp) -> Sexp {
    let Sexp::List(items) = tree else { return tree };
    let mut items: Vec<Sexp> = items.into_iter().map(sorted).collect();
    if items.first() == Some(&Sexp::word("dictionary")) {
        items[1..].sort_by_key(|pair| format!("{pair:?}"));
    }
    Sexp::List(items)
}

/// One with commands whose arguments are made acceptable on the way: a missing `usePTY`.
const MENDED: &str = "pb-failure";

#[test]
fn row_08_017_to_08_022_every_recorded_connection_is_spoken_again() {
    for name in CONNECTIONS.iter().filter(|name| **name != MENDED) {
        let replay = Replay::run(name);
        let answered = |wanted: fn(&Answer) -> bool| {
            replay
                .heard
                .iter()
                .any(|heard| matches!(heard, Heard::Answered { result: Ok(answer), .. } if wanted(answer)))
        };
        assert!(
            answered(
                |answer| matches!(answer, Answer::Info(info) if info.version == "4.3.0" && info.system == "posix")
            ),
            "{name}"
        );
        assert!(answered(|answer| *answer == Answer::Done), "{name}");
        let failed: Vec<_> = replay
            .heard
            .iter()
            .filter(|heard| matches!(heard, Heard::Answered { result: Err(_), .. }))
            .collect();
        assert!(failed.is_empty(), "{name}: {failed:?}");
    }
}

#[test]
fn row_08_021_transfers_are_heard_with_their_kind() {
    let replay = Replay::run("pb-transfer");
    let count = |wanted: fn(&lunabot_proto::Transfer) -> bool| {
        let transfers = replay.heard.iter().filter_map(|heard| match heard {
            Heard::Transfer { request, .. } => Some(request),
            _ => None,
        });
        transfers.filter(|request| wanted(request)).count()
    };
    use lunabot_proto::Transfer as T;
    assert!(count(|t| matches!(t, T::Write(_))) > 3);
    assert!(count(|t| matches!(t, T::WriteDirectory(_))) >= 3);
    assert!(count(|t| matches!(t, T::Unpack)) >= 3);
    assert_eq!(
        count(|t| matches!(t, T::Utime { modified, .. } if (*modified - 1_000_000_000.25).abs() < 1e-6)),
        1
    );
    assert!(count(|t| matches!(t, T::Read { length } if *length > 0)) > 3);
    assert!(count(|t| matches!(t, T::CloseRead)) >= 3);
}

#[test]
fn the_last_unfinished_line_comes_after_rc() {
    let replay = Replay::run("pb-shell");
    let keys = replay.texts.get("7").unwrap();
    let (rc, last) = (keys.iter().position(|key| key == "rc"), keys.iter().rposition(|key| key == "stdout"));
    assert!(rc < last, "{keys:?}");
}

#[test]
fn a_failed_command_tells_its_traceback_and_a_refused_start_its_class() {
    let mut errors = 0;
    for tree in trees(&recorded::bytes("pb-failure", From::Worker), 1 << 20) {
        let Some([kind, _, value]) = tree.as_list() else { continue };
        if kind.as_bytes().is_some_and(|kind| kind == "error".as_bytes()) {
            let failure = lunabot_proto::pb::Failure::read(&Jelly::read(value).unwrap());
            assert!(
                failure.to_string().starts_with(&failure.class) && failure.class.contains('.'),
                "{failure}"
            );
            errors += 1;
        }
    }
    assert!(errors > 0);
}

/// A machine right after the recorded login.
fn logged_in(name: &str) -> PbMaster {
    let mut door = Door::new(challenge(name));
    let mut worker = trees(&recorded::bytes(name, From::Worker), 1 << 20).into_iter();
    loop {
        door.feed(&bytes_of(&worker.next().unwrap()));
        if let Some(knock) = door.knock().unwrap() {
            let mind = knock.mind.unwrap();
            return door.worker(&knock, mind);
        }
    }
}

#[test]
fn row_08_012_a_refusal_is_one_that_workers_survive() {
    let mut machine = logged_in("pb-login");
    machine.output();
    machine.refuse();
    let said = machine.output();
    // The greeting was not taken before: the error is the last.
    let error = trees(&said[0], 100).pop().unwrap();
    assert_eq!(word(&error), "error");
    let Jelly::Copied(class, state) = Jelly::read(&error.as_list().unwrap()[2]).unwrap() else {
        panic!("a copy")
    };
    assert_eq!(class, "twisted.spread.pb.CopyableFailure");
    // The class as bytes, the parents as texts: what peers were found to need.
    assert_eq!(state.get("type"), Some(&Jelly::Bytes("twisted.cred.error.UnauthorizedLogin".into())));
    let parents = state.get("parents").unwrap().items().unwrap();
    assert_eq!(parents[0], Jelly::Text("twisted.cred.error.UnauthorizedLogin".into()));
    assert!(parents.iter().all(|parent| matches!(parent, Jelly::Text(_))));
    assert!(matches!(
        (state.get("value"), state.get("traceback")),
        (Some(Jelly::Text(_)), Some(Jelly::Text(_)))
    ));
}

#[test]
fn a_wrong_version_and_other_dialects_end_the_connection() {
    for greeting in ["0382666f6f", "02827062" /* pb */] {
        let mut door = Door::new([7; 16]);
        door.feed(&unhex(greeting));
        let first = door.knock();
        if first.is_ok() {
            door.feed(&unhex("028013870781"));
            assert!(door.knock().is_err(), "version 7");
        }
    }
}

#[test]
fn calls_on_what_is_not_there_are_answered_with_an_error() {
    let mut machine = logged_in("pb-login");
    machine.welcome();
    machine.output();
    let call = |object: Sexp, method: &str| {
        let args = Jelly::Tuple(Vec::new()).write();
        let kwargs = Jelly::Dict(Vec::new()).write();
        bytes_of(&Sexp::List(vec![
            Sexp::word("message"),
            Sexp::Int(9),
            object,
            Sexp::word(method),
            Sexp::Int(1),
            args,
            kwargs,
        ]))
    };
    for (object, method) in
        [(Sexp::Int(99), "update"), (Sexp::word("root"), "login"), (Sexp::Int(2), "explode")]
    {
        assert_eq!(machine.receive(call(object, method)).unwrap(), []);
        let said = trees(&machine.output()[0], 100);
        assert_eq!((word(&said[0]).as_str(), said[0].as_list().unwrap()[1].as_int()), ("error", Some(9)));
    }
    // 08.020: a keepalive is answered at once.
    assert_eq!(machine.receive(call(Sexp::Int(2), "keepalive")).unwrap(), []);
    assert_eq!(word(&trees(&machine.output()[0], 100)[0]), "answer");
}

#[test]
fn row_02_009_recorded_clients_report_their_changes() {
    for name in ["pb-sendchange-min", "pb-sendchange-full"] {
        let mut door = Door::new(challenge(name));
        door.feed(&recorded::bytes(name, From::Worker));
        let knock = door.knock().unwrap().unwrap();
        assert_eq!((knock.name.as_str(), knock.mind), ("change", None), "{name}");
        assert!(knock.proof.fits("changepw"));
        let mut client = door.client(&knock);
        let reported = client.reported().unwrap().unwrap();
        assert!(reported.change.get("who").and_then(Value::as_str).is_some(), "{reported:?}");
        client.answer(reported.request, Ok(()));
        assert_eq!(client.reported().unwrap(), None);
        let said: Vec<Sexp> = client.output().iter().flat_map(|bytes| trees(bytes, 1 << 20)).collect();
        let wanted = trees(&recorded::bytes(name, From::Master), 1 << 20);
        assert_eq!(said, wanted, "{name}");
    }
    for (name, password) in [("pb-sendchange-badpw", "changepw"), ("pb-wrong-password", "pa55wörd")] {
        let mut door = Door::new(challenge(name));
        door.feed(&recorded::bytes(name, From::Worker));
        assert!(!door.knock().unwrap().unwrap().proof.fits(password), "{name}");
    }
}
