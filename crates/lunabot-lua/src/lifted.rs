//! Functions of the configuration that the master may call, by number.

use crate::origin::origin_of;
use mlua::Function;
use std::cell::RefCell;
use std::collections::HashMap;

/// A function that was lifted out of the configuration.
#[derive(Clone)]
pub(crate) struct Lifted {
    pub function: Function,
    pub at: String,
}

impl Lifted {
    fn of(function: &Function) -> Self {
        Lifted { function: function.clone(), at: written_at(function) }
    }
}

/// Where a function of the configuration was written; empty for one of ours.
pub(crate) fn written_at(function: &Function) -> String {
    let origin = origin_of(function);
    if origin.file.is_empty() { String::new() } else { origin.to_string() }
}

type Pointer = *const std::ffi::c_void;

/// Numbers of functions that were handed over while the configuration serves; above all others.
const LATE: u64 = 1 << 40;

#[derive(Default)]
pub(crate) struct Functions {
    /// For good; the number is the place in the list, from 1.
    all: RefCell<Vec<Lifted>>,
    ids: RefCell<HashMap<Pointer, u64>>,
    late: RefCell<Late>,
}

/// Those that are kept for a scope ([`lunabot_model::ScriptObject::scope`]).
#[derive(Default)]
struct Late {
    made: u64,
    all: HashMap<u64, Lifted>,
    scopes: HashMap<u64, HashMap<Pointer, u64>>,
}

impl Functions {
    /// The number under which a function can be called from outside.
    pub fn lift(&self, function: &Function) -> u64 {
        let mut ids = self.ids.borrow_mut();
        *ids.entry(function.to_pointer()).or_insert_with(|| self.push(Lifted::of(function)))
    }

    /// The same for a function of ours that calls `method`, which is what messages name.
    pub fn lift_bound(&self, function: &Function, method: &Function) -> u64 {
        self.push(Lifted { function: function.clone(), at: written_at(method) })
    }

    /// The same until a scope ends.
    pub fn lift_for(&self, function: &Function, scope: u64) -> u64 {
        if let Some(known) = self.ids.borrow().get(&function.to_pointer()) {
            return *known;
        }
        let late = &mut *self.late.borrow_mut();
        *late.scopes.entry(scope).or_default().entry(function.to_pointer()).or_insert_with(|| {
            let id = LATE + late.made;
            late.made += 1;
            late.all.insert(id, Lifted::of(function));
            id
        })
    }

    fn push(&self, lifted: Lifted) -> u64 {
        let mut all = self.all.borrow_mut();
        all.push(lifted);
        all.len() as u64
    }

    pub fn get(&self, id: u64) -> Option<Lifted> {
        if id >= LATE {
            return self.late.borrow().all.get(&id).cloned();
        }
        let index = usize::try_from(id).unwrap_or(usize::MAX).wrapping_sub(1);
        self.all.borrow().get(index).cloned()
    }

    /// Where it was written; empty if there is none.
    pub fn at(&self, id: u64) -> String {
        self.get(id).map(|lifted| lifted.at).unwrap_or_default()
    }

    /// Of those that are kept for good, in the order of their numbers.
    pub fn map<T>(&self, of: impl FnMut(&Lifted) -> T) -> Vec<T> {
        self.all.borrow().iter().map(of).collect()
    }

    /// A scope has ended.
    pub fn forget(&self, scope: u64) {
        let late = &mut *self.late.borrow_mut();
        for id in late.scopes.remove(&scope).unwrap_or_default().into_values() {
            late.all.remove(&id);
        }
    }
}
