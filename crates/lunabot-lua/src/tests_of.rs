//! `*_test.lua`: tests of a configuration, which run in its interpreter (lua-api § 6).
//!
//! The file runs before the configuration does, so that it can answer what that asks for while it is loaded.

use crate::convert::callback_json;
use crate::origin::origin_of;
use crate::state::Shared;
use crate::vm::Vm;
use lunabot_model::Callback;
use lunabot_model::kind::nearest;
use mlua::{Function, Lua, Table};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

/// What `require "lunabot.test"` gives, and what keeps a test from reaching outside.
const PRELUDE: &str = include_str!("prelude/test.lua");

/// One test of a file.
#[derive(Debug, Clone)]
pub struct TestCase {
    pub name: String,
    /// Where its function is written: `master_test.lua:12`.
    pub at: String,
    /// Seconds since 1970 that the clock shows at its start, where the test says so.
    pub starts: Option<f64>,
    /// Called with the simulated master.
    pub function: Callback,
}

/// The tests of a file.
#[derive(Debug, Clone)]
pub struct Tests {
    /// In the order in which they are written.
    pub cases: Vec<TestCase>,
    /// A function that does nothing: it answers when all calls before it had their turn.
    pub nothing: Callback,
    /// How many functions compute, and have only been interrupted so that others have their turn.
    pub computing: Arc<AtomicUsize>,
}

/// Makes `lunabot.test` known.
pub(crate) fn prepare(vm: &Vm) -> mlua::Result<()> {
    let host = vm.shared.prelude.borrow().clone().ok_or_else(|| mlua::Error::runtime("no prelude"))?;
    let near = |_: &Lua, (wanted, names): (String, Vec<String>)| {
        Ok(nearest(&wanted, names.iter().map(String::as_str)).map(str::to_owned))
    };
    host.raw_set("nearest", vm.lua.create_function(near)?)?;
    let chunk = vm.lua.load(PRELUDE).set_name("=lunabot:test");
    chunk.into_function()?.call::<()>(host)
}

/// What was declared.
pub(crate) fn collect(vm: &Vm) -> mlua::Result<Tests> {
    let (lua, shared) = (&vm.lua, &vm.shared);
    let cases: Table = shared.prelude_table("test_cases")?;
    let cases = cases.sequence_values::<Table>().map(|case| case_of(shared, &case?));
    let nothing = lua.create_function(|_: &Lua, ()| Ok(()))?;
    Ok(Tests {
        cases: cases.collect::<mlua::Result<_>>()?,
        nothing: callback(shared, &nothing)?,
        computing: vm.limits.computing(),
    })
}

fn case_of(shared: &Shared, case: &Table) -> mlua::Result<TestCase> {
    let function: Function = case.raw_get("fn")?;
    Ok(TestCase {
        name: case.raw_get("name")?,
        at: origin_of(&function).to_string(),
        starts: case.raw_get("at")?,
        function: callback(shared, &function)?,
    })
}

fn callback(shared: &Shared, function: &Function) -> mlua::Result<Callback> {
    let json = callback_json(shared, shared.lifted.lift(function));
    Callback::from_json(&json).ok_or_else(|| mlua::Error::runtime("no callback"))
}
