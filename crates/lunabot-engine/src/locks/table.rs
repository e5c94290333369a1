//! All locks of a master (reference 05.058–05.064).

use super::place::Place;
use super::{Claim, Holder, Key};
use lunabot_model::Mono;
use lunabot_model::locks::{LockCounts, LockId, LockMode, LockUse};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// What becomes of a request for locks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// It has them all.
    Granted,
    /// It waits; these are not available to it.
    Waits(Vec<Key>),
    /// It waits, and will do so until one of these gives up: they wait for what is held beside it, and it for what they
    /// hold.
    Stuck(Vec<Key>, Vec<Holder>),
    /// It can never have them; the text says why. Nothing is held or waited for.
    Refused(String),
}

/// The locks of a master: pure decisions. Every call may change what becomes of others: see [`Locks::take_news`] and
/// [`Locks::take_freed`].
///
/// Requests are all or nothing (05.060) and go by the order in which they were made (05.059). One that waits stands in the
/// queue of the lock that it lacks, and keeps its place there when it then lacks another; so who only waits for one lock
/// keeps nobody from the others, and who asked first gets everything in the end. The cost of a release does not grow with
/// the number of those who wait, only with how much of the lock there is.
#[derive(Debug, Default)]
pub struct Locks {
    known: HashMap<LockId, Known>,
    requests: HashMap<Holder, Request>,
    /// Those who wait, by the number of their request.
    waiting: BTreeMap<u64, Holder>,
    promises: HashMap<Holder, Vec<Claim>>,
    next: u64,
    now: Mono,
    /// Places whose queues are to be looked at.
    agenda: BTreeSet<Key>,
    news: Vec<(Holder, News)>,
    freed: BTreeSet<Key>,
}

/// A lock: how much of it there is by the newest configuration, and its places in use.
#[derive(Debug)]
struct Known {
    generation: u64,
    counts: LockCounts,
    /// By worker; of a master lock the only one is under `None`.
    places: BTreeMap<Option<Arc<str>>, Place>,
}

#[derive(Debug)]
struct Request {
    asked: u64,
    claims: Vec<Claim>,
    /// Who holds locks for the same build.
    beside: Vec<Holder>,
    state: State,
}

/// Who uses a lock: [`Locks::users`]. A step is told as the build that it is of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Users {
    /// Since when each has it, longest first.
    pub holders: Vec<(Holder, Mono)>,
    /// Builds that are being started and about to ask for it.
    pub promised: Vec<Holder>,
    /// How many wait for it in builds that run.
    pub waiting: usize,
    /// How much of it is taken or about to be, and how much there is.
    pub taken: u64,
    pub max: u32,
}

/// The place that a holder belongs to.
fn place_of(holder: Holder, beside: &[Holder]) -> Holder {
    match holder {
        Holder::Step(_) => beside.first().copied().unwrap_or(holder),
        Holder::Slot { .. } | Holder::Build { .. } => holder,
    }
}

#[derive(Debug)]
enum State {
    Holds(Mono),
    /// Which claim it lacked when it was last looked at. It is looked at again when that place changes.
    Lacks(usize),
}

/// How far the queue of a place was gone through.
struct Walk {
    key: Key,
    last: Option<u64>,
    /// Those before `last` that still wait.
    ahead: u64,
    over: bool,
}

impl Walk {
    fn new(key: Key) -> Self {
        Walk { key, last: None, ahead: 0, over: false }
    }
}

impl Locks {
    /// Takes note of how much of a lock a configuration says there is; the newest configuration counts (05.063).
    pub fn learn(&mut self, generation: u64, lock: &LockUse) {
        let Some(known) = self.known.get_mut(&lock.lock) else {
            let known = Known { generation, counts: lock.counts.clone(), places: BTreeMap::new() };
            self.known.insert(lock.lock.clone(), known);
            return;
        };
        if generation <= known.generation {
            return;
        }
        known.generation = generation;
        if known.counts == lock.counts {
            return;
        }
        known.counts = lock.counts.clone();
        let places: Vec<_> = known.places.keys().cloned().collect();
        for worker in places {
            self.recount(Key { lock: lock.lock.clone(), worker });
        }
        self.work_off();
    }

    /// Forgets locks of earlier configurations that nobody uses.
    pub fn forget_before(&mut self, generation: u64) {
        self.known.retain(|_, known| known.generation >= generation || !known.places.is_empty());
    }

    /// Whether a build that is still to be started would get this.
    pub fn is_free(&self, claim: &Claim) -> bool {
        match self.place(&claim.key) {
            Some((place, max)) => place.is_free(claim, max),
            None => claim.mode == LockMode::Exclusive || claim.count <= self.max(&claim.key),
        }
    }

    /// Promises locks to a build that is being started: others are not started for them. Ends when it asks for them.
    pub fn promise(&mut self, holder: Holder, claims: Vec<Claim>) {
        for claim in &claims {
            self.place_mut(&claim.key).promise(claim);
        }
        if !claims.is_empty() {
            self.promises.insert(holder, claims);
        }
    }

    /// Asks for locks, all or nothing. `beside`: who holds locks for the same build and keeps them as long.
    pub fn ask(&mut self, holder: Holder, claims: Vec<Claim>, beside: &[Holder]) {
        self.unpromise(holder);
        self.drop_request(holder);
        if let Some(why) = self.never(&claims, beside) {
            self.news.push((holder, News::Refused(why)));
            return;
        }
        self.next += 1;
        let asked = self.next;
        let beside = beside.to_vec();
        self.requests.insert(holder, Request { asked, claims, beside, state: State::Lacks(0) });
        self.waiting.insert(asked, holder);
        self.attempt(asked);
        self.work_off();
        self.look_for_circle(holder);
    }

    /// Ends whatever a holder has, waits for or was promised.
    pub fn give_up(&mut self, holder: Holder) {
        self.unpromise(holder);
        self.drop_request(holder);
        self.work_off();
    }

    /// What time it is from now on, for how long locks are held.
    pub fn clock(&mut self, now: Mono) {
        self.now = now;
    }

    /// Who has a lock or is about to take it, and how many wait for it. Looks at all requests: for people who ask.
    pub fn users(&self, key: &Key) -> Users {
        let mut users = Users { max: self.max(key), ..Users::default() };
        let max = users.max;
        let part = |claim: &Claim| if claim.mode == LockMode::Exclusive { max } else { claim.count };
        let of = |claims: &[Claim]| -> u64 {
            claims.iter().filter(|claim| claim.key == *key).map(|claim| u64::from(part(claim))).sum()
        };
        let has = |claims: &[Claim]| claims.iter().any(|claim| claim.key == *key);
        users.taken = self.promises.values().map(|claims| of(claims)).sum();
        for (holder, request) in self.requests.iter().filter(|(_, request)| has(&request.claims)) {
            match request.state {
                State::Holds(since) => {
                    users.taken += of(&request.claims);
                    users.holders.push((place_of(*holder, &request.beside), since));
                }
                State::Lacks(_) => users.waiting += 1,
            }
        }
        let promised = self.promises.iter().filter(|(_, claims)| has(claims));
        users.promised.extend(promised.map(|(holder, _)| place_of(*holder, &[])));
        users.holders.sort_by_key(|(holder, since)| (*since, *holder));
        users.promised.sort();
        users
    }

    /// What became of requests since the last call, in order.
    pub fn take_news(&mut self) -> Vec<(Holder, News)> {
        std::mem::take(&mut self.news)
    }

    /// The places of which more may be free since the last call.
    pub fn take_freed(&mut self) -> BTreeSet<Key> {
        std::mem::take(&mut self.freed)
    }

    /// Requests that wait.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn waiters(&self) -> impl Iterator<Item = Holder> + '_ {
        self.waiting.values().copied()
    }

    pub(super) fn beside(&self, holder: Holder) -> &[Holder] {
        self.requests.get(&holder).map(|request| request.beside.as_slice()).unwrap_or_default()
    }

    /// What is held for the build that a request is of.
    pub(super) fn held_beside(&self, holder: Holder) -> impl Iterator<Item = &Claim> {
        let requests = self.beside(holder).iter().filter_map(|other| self.requests.get(other));
        requests
            .filter(|request| matches!(request.state, State::Holds(_)))
            .flat_map(|request| &request.claims)
    }

    pub(super) fn wanted(&self, holder: Holder) -> &[Claim] {
        self.requests.get(&holder).map(|request| request.claims.as_slice()).unwrap_or_default()
    }

    /// What a request waits for.
    pub(super) fn lacking(&self, holder: Holder) -> Vec<Key> {
        let Some(request) = self.requests.get(&holder) else { return Vec::new() };
        match request.state {
            State::Holds(_) => Vec::new(),
            State::Lacks(_) => {
                let lacks = request.claims.iter().filter(|claim| !self.is_available(claim, request.asked));
                lacks.map(|claim| claim.key.clone()).collect()
            }
        }
    }

    pub(super) fn tell(&mut self, holder: Holder, news: News) {
        self.news.push((holder, news));
    }

    pub(super) fn max(&self, key: &Key) -> u32 {
        self.known.get(&key.lock).map_or(0, |known| known.counts.on(key.worker.as_deref()))
    }

    fn place(&self, key: &Key) -> Option<(&Place, u32)> {
        let known = self.known.get(&key.lock)?;
        Some((known.places.get(&key.worker)?, known.counts.on(key.worker.as_deref())))
    }

    /// A lock that nobody declared has nothing to give.
    fn place_mut(&mut self, key: &Key) -> &mut Place {
        let known = self.known.entry(key.lock.clone()).or_insert_with(|| Known {
            generation: 0,
            counts: LockCounts::default(),
            places: BTreeMap::new(),
        });
        known.places.entry(key.worker.clone()).or_default()
    }

    /// After a change of a place: whoever waits there and those outside may have more.
    fn changed(&mut self, key: &Key) {
        self.freed.insert(key.clone());
        self.agenda.insert(key.clone());
        let Some(known) = self.known.get_mut(&key.lock) else { return };
        if known.places.get(&key.worker).is_some_and(Place::is_idle) {
            known.places.remove(&key.worker);
        }
    }

    fn unpromise(&mut self, holder: Holder) {
        for claim in self.promises.remove(&holder).unwrap_or_default() {
            self.place_mut(&claim.key).unpromise(&claim);
            self.changed(&claim.key);
        }
    }

    fn drop_request(&mut self, holder: Holder) {
        let Some(request) = self.requests.remove(&holder) else { return };
        self.waiting.remove(&request.asked);
        for claim in &request.claims {
            let known = self.known.get_mut(&claim.key.lock);
            let Some(place) = known.and_then(|known| known.places.get_mut(&claim.key.worker)) else {
                continue;
            };
            let had = match request.state {
                State::Holds(_) => {
                    place.release(claim);
                    true
                }
                State::Lacks(_) => place.leave(request.asked),
            };
            if had {
                self.changed(&claim.key);
            }
        }
    }

    /// Why these claims can never be granted, if so.
    fn never(&self, claims: &[Claim], beside: &[Holder]) -> Option<String> {
        claims.iter().find_map(|claim| self.too_much(claim).or_else(|| self.clashes(claim, beside)))
    }

    fn too_much(&self, claim: &Claim) -> Option<String> {
        let max = self.max(&claim.key);
        let too_much = claim.mode == LockMode::Counting && claim.count > max;
        too_much.then(|| {
            let on = claim.key.worker.as_deref().map_or(String::new(), |name| format!(" on worker {name}"));
            format!("asks for {} of {}, of which there is {max}{on}", claim.count, claim.key)
        })
    }

    /// Waiting for what is held as long as one waits would have no end.
    fn clashes(&self, claim: &Claim, beside: &[Holder]) -> Option<String> {
        let held = beside.iter().filter_map(|holder| self.requests.get(holder)).flat_map(|r| &r.claims);
        let held: Vec<&Claim> = held.filter(|other| other.key == claim.key).collect();
        let exclusive = |c: &Claim| c.mode == LockMode::Exclusive;
        let sum: u64 = held.iter().map(|c| u64::from(c.count)).sum::<u64>() + u64::from(claim.count);
        let alone = exclusive(claim) || held.iter().any(|c| exclusive(c));
        let clash = !held.is_empty() && (alone || sum > u64::from(self.max(&claim.key)));
        clash.then(|| {
            format!("{} is held for this build already, and there is not enough of it for both", claim.key)
        })
    }

    /// Looks at a request that waits. Whether it waits no longer.
    fn attempt(&mut self, asked: u64) -> bool {
        let Some(holder) = self.waiting.get(&asked).copied() else { return true };
        let Some(request) = self.requests.get(&holder) else { return true };
        if let Some(why) = request.claims.iter().find_map(|claim| self.too_much(claim)) {
            self.drop_request(holder);
            self.news.push((holder, News::Refused(why)));
            return true;
        }
        let missing: Vec<usize> = (0..request.claims.len())
            .filter(|index| !self.is_available(&request.claims[*index], asked))
            .collect();
        match missing.first() {
            None => self.grant(holder),
            Some(first) => self.wait(holder, *first, &missing),
        }
        missing.is_empty()
    }

    fn is_available(&self, claim: &Claim, asked: u64) -> bool {
        self.place(&claim.key).is_none_or(|(place, max)| place.is_available(claim, asked, max))
    }

    fn grant(&mut self, holder: Holder) {
        let Some(request) = self.requests.get_mut(&holder) else { return };
        request.state = State::Holds(self.now);
        let (asked, claims) = (request.asked, request.claims.clone());
        self.waiting.remove(&asked);
        for claim in &claims {
            let place = self.place_mut(&claim.key);
            // Nobody behind has more by this: what stood in the queue is held now.
            place.leave(asked);
            place.take(claim);
        }
        self.news.push((holder, News::Granted));
    }

    fn wait(&mut self, holder: Holder, first: usize, missing: &[usize]) {
        let Some(request) = self.requests.get_mut(&holder) else { return };
        request.state = State::Lacks(first);
        let (asked, claim) = (request.asked, request.claims[first].clone());
        let keys = missing.iter().map(|index| request.claims[*index].key.clone()).collect();
        self.place_mut(&claim.key).join(asked, &claim);
        self.news.push((holder, News::Waits(keys)));
    }

    /// Grants what the changed places can give to those who wait there: of all of them, first come first served.
    fn work_off(&mut self) {
        while !self.agenda.is_empty() {
            let mut walks: Vec<Walk> = std::mem::take(&mut self.agenda).into_iter().map(Walk::new).collect();
            while let Some((asked, mode, index)) = self.next_of(&mut walks) {
                let walk = &mut walks[index];
                walk.last = Some(asked);
                let gone = self.lacks(asked, &walk.key) && self.attempt(asked);
                if !gone {
                    walk.ahead += 1;
                    walk.over = mode == LockMode::Exclusive;
                    continue;
                }
                // What it has now is not to be counted as waited for as well.
                let others = walks.iter_mut().enumerate().filter(|(other, _)| *other != index);
                for (_, walk) in others.filter(|(_, walk)| walk.last == Some(asked)) {
                    walk.ahead -= 1;
                }
            }
        }
    }

    /// The waiter that asked first of those who may get something, and whose walk came to it.
    fn next_of(&self, walks: &mut Vec<Walk>) -> Option<(u64, LockMode, usize)> {
        walks.retain(|walk| self.next_in(walk).is_some());
        let all = walks.iter().enumerate();
        let next =
            all.filter_map(|(index, walk)| self.next_in(walk).map(|(asked, mode)| (asked, mode, index)));
        next.min_by_key(|(asked, ..)| *asked)
    }

    fn next_in(&self, walk: &Walk) -> Option<(u64, LockMode)> {
        let (place, max) = self.place(&walk.key).filter(|_| !walk.over)?;
        let next = place.next_waiter(walk.last);
        next.filter(|(_, mode)| place.has_room(*mode, walk.ahead, max))
    }

    /// Whether a request waits for this place; one that waits for another is woken there.
    fn lacks(&self, asked: u64, key: &Key) -> bool {
        let request = self.waiting.get(&asked).and_then(|holder| self.requests.get(holder));
        request.is_some_and(|request| match request.state {
            State::Lacks(index) => request.claims[index].key == *key,
            State::Holds(_) => false,
        })
    }

    /// After a change of how much there is: some may have it now, and some never (05.063).
    fn recount(&mut self, key: Key) {
        let Some((place, _)) = self.place(&key) else { return };
        let waiters: Vec<u64> = place.waiters().collect();
        for asked in waiters {
            let Some(holder) = self.waiting.get(&asked).copied() else { continue };
            let claims =
                self.requests.get(&holder).map(|request| request.claims.as_slice()).unwrap_or_default();
            if let Some(why) = claims.iter().find_map(|claim| self.too_much(claim)) {
                self.drop_request(holder);
                self.news.push((holder, News::Refused(why)));
            }
        }
        self.changed(&key);
    }
}
