//! Classes: what a constructor's name stands for in Lua, built in or extended by the configuration (lua-api § 3).

use crate::construct::construct;
use crate::declared::Declared;
use crate::extend;
use crate::origin::{Origin, raise};
use crate::state::Shared;
use lunabot_model::{Category, Kind};
use mlua::{Lua, MetaMethod, MultiValue, Table, UserData, UserDataMethods, Value};
use std::rc::Rc;

/// A built-in kind, or a class that the configuration made of one.
pub(crate) struct Class {
    pub kind: &'static Kind,
    pub extended: Option<Extended>,
}

/// What the configuration added.
pub(crate) struct Extended {
    pub parent: Rc<Class>,
    /// Its name, if it has one.
    pub name: Option<String>,
    /// Defaults, attributes and methods, as written.
    pub fields: Table,
    /// It stands between a class and one object that was given observers of its own.
    pub of_one: bool,
    /// What its objects begin with: log name → observer.
    pub observers: serde_json::Map<String, lunabot_model::Json>,
    /// Its place in the list of extended classes.
    pub index: usize,
    /// Where it was made.
    pub at: Origin,
}

impl Class {
    /// The class of a kind; one per interpreter.
    pub fn of(shared: &Shared, kind: &'static Kind) -> Rc<Class> {
        let mut classes = shared.classes.borrow_mut();
        classes.entry(kind.path()).or_insert_with(|| Rc::new(Class { kind, extended: None })).clone()
    }

    /// `steps.ShellCommand`, or the name that the configuration gave.
    pub fn path(&self) -> String {
        match &self.extended {
            Some(extended) => extended.name.clone().unwrap_or_else(|| extended.parent.path()),
            None => self.kind.path(),
        }
    }

    /// Itself and what it extends, the most special first.
    pub fn chain(&self) -> impl Iterator<Item = &Extended> {
        std::iter::successors(self.extended.as_ref(), |one| one.parent.extended.as_ref())
    }

    /// A field or method of the class or of one that it extends.
    pub fn field(&self, name: &str) -> mlua::Result<Value> {
        for extended in self.chain() {
            let value: Value = extended.fields.raw_get(name)?;
            if !value.is_nil() {
                return Ok(value);
            }
        }
        Ok(Value::Nil)
    }
}

/// The class that a value is.
pub(crate) fn class_of(value: &Value) -> Option<Rc<Class>> {
    Some(value.as_userdata()?.borrow::<ClassRef>().ok()?.0.clone())
}

/// A class as a Lua value.
#[derive(Clone)]
pub(crate) struct ClassRef(pub Rc<Class>);

impl UserData for ClassRef {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_meta_function(MetaMethod::Call, |lua, mut args: MultiValue| {
            let class = args.pop_front();
            let class = class.as_ref().and_then(class_of).ok_or_else(|| raise(lua, "not a class"))?;
            construct(lua, &Shared::of(lua), &class, args)
        });
        methods.add_meta_method(MetaMethod::Index, |lua, this, name: String| index(lua, &this.0, &name));
        methods.add_meta_method(
            MetaMethod::NewIndex,
            |lua, this, (name, value): (String, Value)| match &this.0.extended {
                Some(extended) => match extend::no_function(&Shared::of(lua), &this.0, &name, &value) {
                    Some(wrong) => Err(raise(lua, format!("{}: {wrong}", this.0.path()))),
                    None => extended.fields.raw_set(name, value),
                },
                None => Err(raise(lua, format!("{} is built in; extend it to add {name}", this.0.path()))),
            },
        );
        methods.add_meta_method(MetaMethod::ToString, |_, this, ()| Ok(this.0.path()));
    }
}

fn index(lua: &Lua, class: &Rc<Class>, name: &str) -> mlua::Result<Value> {
    if name == "extend" {
        return Ok(Value::Function(Shared::of(lua).prelude("extend")?));
    }
    let field = class.field(name)?;
    if !field.is_nil() {
        return Ok(field);
    }
    if name == "init" {
        let class = class.clone();
        let init = move |lua: &Lua, (object, args): (Value, Value)| {
            let object = object.as_userdata().filter(|object| object.borrow::<Declared>().is_ok());
            let written =
                || format!("is called with a dot and the object: {}.init(self, {{…}})", class.path());
            let object = object.ok_or_else(|| raise(lua, written()))?;
            extends(&*object.borrow::<Declared>()?, &class).map_err(|told| raise(lua, told))?;
            extend::base_init(lua, &Shared::of(lua), &class, object, args)
        };
        return Ok(Value::Function(lua.create_function(init)?));
    }
    if let Some(member) = function_of_class(lua, class, name)? {
        return Ok(member);
    }
    // `Base.run(self)`: what the master's own class does.
    let hook = lunabot_model::class::hooks(class.kind.category).iter().any(|hook| hook.name == name);
    if class.kind.extensible && (hook || !Shared::of(lua).loading()) {
        return crate::live::method(lua, name);
    }
    let path = class.path();
    let message = format!("{path}.{name} is not known, or calling it on the class is not supported yet");
    Err(raise(lua, message))
}

/// Whether the class is one of the object's: another's constructor has other options.
fn extends(object: &Declared, class: &Rc<Class>) -> Result<(), String> {
    let own = object.class.chain().any(|one| Rc::ptr_eq(&one.parent, class));
    // Built-in ones are related as in Buildbot, which is not known here: `steps.BuildStep` of a `steps.ShellMixin`.
    let related = class.extended.is_none() && class.kind.category == object.kind.category;
    if own || related || Rc::ptr_eq(&object.class, class) {
        return Ok(());
    }
    let (name, other) = (object.class.path(), class.path());
    let base = object.class.extended.as_ref().map_or_else(String::new, |own| own.parent.path());
    Err(format!("{name} does not extend {other}; its base is {base}: {base}.init(self, {{…}})"))
}

/// What Buildbot has as a function of a class of steps (`steps.Compile.warnExtractFromRegexpGroups`) is a value of `util`.
fn function_of_class(lua: &Lua, class: &Rc<Class>, name: &str) -> mlua::Result<Option<Value>> {
    let shared = Shared::of(lua);
    let kind = shared.kind(&format!("util.{name}")).filter(|kind| kind.category == Category::Value);
    match kind.filter(|_| class.kind.category == Category::Step) {
        Some(kind) => Ok(Some(Value::UserData(lua.create_userdata(ClassRef(Class::of(&shared, kind)))?))),
        None => Ok(None),
    }
}
