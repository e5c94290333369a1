//! Objects of classes of the configuration while they act: one `self` for each, for as long as the master wants it.

use crate::declared::Declared;
use crate::live::member;
use crate::origin::raise;
use crate::state::Shared;
use lunabot_model::script::Instance;
use lunabot_model::{Category, ScriptObject};
use mlua::{AnyUserData, Lua, LuaString, Table, Value};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;

/// What the master may refer to.
#[derive(Default)]
pub(crate) struct Instances {
    /// Declared objects by their `$id`.
    declared: RefCell<HashMap<u64, AnyUserData>>,
    /// Those that functions made, by the scope that they are kept for.
    scoped: RefCell<HashMap<u64, Vec<u64>>>,
    /// By the id of the [`lunabot_model::script::Keep`].
    acting: RefCell<HashMap<u64, AnyUserData>>,
}

impl Instances {
    /// Lets the master refer to an object: for good while the file is loaded (`scope` is `None`), else for a scope.
    pub fn declare(&self, id: u64, object: &AnyUserData, scope: Option<u64>) {
        let mut declared = self.declared.borrow_mut();
        if declared.contains_key(&id) {
            return;
        }
        declared.insert(id, object.clone());
        if let Some(scope) = scope {
            self.scoped.borrow_mut().entry(scope).or_default().push(id);
        }
    }

    pub fn declared(&self, id: u64) -> Option<AnyUserData> {
        self.declared.borrow().get(&id).cloned()
    }

    /// Whether the instance of this id is known, and has not ended.
    pub fn acts(&self, keep: u64) -> bool {
        self.acting.borrow().contains_key(&keep)
    }

    /// An instance has ended, or a scope with all that was kept for it.
    pub fn forget(&self, keep: u64) {
        let ended = self.acting.borrow_mut().remove(&keep);
        if let Some(declared) = ended.as_ref().and_then(|object| object.borrow::<Declared>().ok()) {
            declared.over.set(true);
            declared.tasks.take().iter().for_each(|(task, _)| task.abort());
            declared.served.take();
            // Where the configuration holds on to it, it must not hold on to others.
            if let Some(live) = &mut *declared.live.borrow_mut() {
                live.children.clear();
            }
        }
        let gone = self.scoped.borrow_mut().remove(&keep).unwrap_or_default();
        let mut declared = self.declared.borrow_mut();
        for id in gone {
            declared.remove(&id);
        }
    }
}

impl Declared {
    /// A fresh object that reads from this one.
    pub fn instance(&self, lua: &Lua, shared: &Shared) -> mlua::Result<Declared> {
        Ok(Declared {
            kind: self.kind,
            class: self.class.clone(),
            id: shared.new_id(),
            at: self.at.clone(),
            args: RefCell::new(self.args.borrow().clone()),
            poisoned: self.poisoned,
            fields: Some(lua.create_table()?),
            params: RefCell::new(self.params.borrow().clone()),
            observers: RefCell::default(),
            given: RefCell::new(self.given.borrow().clone()),
            ready: Cell::new(true),
            serving: true,
            proto: self.fields.clone(),
            live: RefCell::default(),
            tasks: RefCell::default(),
            served: RefCell::default(),
            over: Cell::new(false),
        })
    }

    /// Lets the master refer to it, where its class is the configuration's. The error says why that cannot be.
    pub fn keep(&self, shared: &Shared, object: &AnyUserData, scope: u64) -> Result<(), String> {
        if self.class.extended.is_none() && self.kind.category != Category::Observer {
            return Ok(());
        }
        if self.serving && scope == 0 && shared.instances.declared(self.id).is_none() {
            let path = self.class.path();
            return Err(format!("{path}: made in a function it can be given to a step or a build that runs"));
        }
        shared.instances.declare(self.id, object, self.serving.then_some(scope));
        Ok(())
    }

    /// What an object that acts has besides: methods of its class first, then what the master lends, then what it
    /// shares with others.
    pub fn acting(&self, lua: &Lua, name: &str) -> mlua::Result<Option<Value>> {
        let live = self.live.borrow();
        let Some(live) = &*live else { return Ok(None) };
        let of_class = self.class.field(name)?;
        let value = || {
            let option = Shared::of(lua).fields(self.kind).get(name).is_some();
            option || crate::params::declares(&self.class, name)
        };
        if of_class.is_function() && !value() {
            return Ok(Some(of_class));
        }
        if let Some(found) = member(lua, live, name)? {
            return Ok(Some(found));
        }
        let common: Value = match &self.proto {
            Some(proto) => proto.raw_get(name)?,
            None => Value::Nil,
        };
        if common.is_nil() {
            return Ok(None);
        }
        read_only(&Shared::of(lua), &self.class.path(), name, common).map(Some)
    }

    /// A field of its own.
    pub fn own(&self, name: &Value) -> mlua::Result<Value> {
        self.fields.as_ref().map_or(Ok(Value::Nil), |fields| fields.raw_get(name))
    }

    /// Assigns a field of an object that acts which it has already, and which is nothing of the master's.
    pub fn assign_again(&self, name: &LuaString, value: &Value) -> mlua::Result<bool> {
        let live = self.live.borrow();
        let (Some(live), Some(fields)) = (&*live, &self.fields) else { return Ok(false) };
        let masters = live.assignable.iter().any(|field| name.as_bytes() == field.as_bytes());
        if masters || fields.raw_get::<Value>(name)?.is_nil() {
            return Ok(false);
        }
        fields.raw_set(name, value)?;
        Ok(true)
    }

    /// Assigns a field of an object that acts.
    pub fn assign_acting(
        &self,
        lua: &Lua,
        live: &ScriptObject,
        name: &str,
        value: &Value,
    ) -> mlua::Result<()> {
        let path = self.class.path();
        if live.assignable.contains(&name) {
            crate::live::set(lua, live, name, value)?;
        } else if Shared::of(lua).fields(self.kind).get(name).is_some() {
            let message = format!("{path}: the option {name} does not change while it runs");
            return Err(raise(lua, message));
        } else if member(lua, live, name)?.is_some() {
            return Err(raise(lua, format!("{path}: {name} is the master's; use another name")));
        }
        match &self.fields {
            Some(fields) => fields.raw_set(name, value),
            None => Ok(()),
        }
    }
}

/// A value that several objects share: of a table, a view that cannot be written.
pub(crate) fn read_only(shared: &Shared, whose: &str, name: &str, value: Value) -> mlua::Result<Value> {
    match value {
        Value::Table(table) if table.metatable().is_none() => {
            shared.prelude("read_only")?.call((table, whose, name))
        }
        other => Ok(other),
    }
}

/// The table that a view of [`read_only`] shows.
pub(crate) fn original(shared: &Shared, view: &Table) -> Option<Table> {
    view.metatable()?;
    shared.prelude_table("shared").ok()?.raw_get(view).ok()?
}

/// `self` of an instance: the object itself if a function made it, else a fresh one that reads from it.
pub(crate) fn value(lua: &Lua, shared: &Shared, instance: &Instance) -> mlua::Result<Value> {
    let known = shared.instances.acting.borrow().get(&instance.keep.id()).cloned();
    if let Some(known) = known {
        return Ok(Value::UserData(known));
    }
    let gone = || mlua::Error::runtime("the object that this is an instance of is gone");
    let object = shared.instances.declared(instance.of).ok_or_else(gone)?;
    let itself = {
        let declared = object.borrow::<Declared>()?;
        if declared.serving { None } else { Some(declared.instance(lua, shared)?) }
    };
    let itself = match itself {
        Some(fresh) => lua.create_userdata(fresh)?,
        None => object,
    };
    *itself.borrow::<Declared>()?.live.borrow_mut() = Some(instance.live.clone());
    shared.instances.acting.borrow_mut().insert(instance.keep.id(), itself.clone());
    Ok(Value::UserData(itself))
}
