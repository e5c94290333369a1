//! How much one client may ask: a crawler must not take from builds what they need, nor a guesser try passwords.

use super::peer::Asker;
use lunabot_model::config::RateLimit;
use lunabot_model::{Clock, Mono};
use moka::sync::Cache;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Clients that are remembered.
const MAX_CLIENTS: u64 = 20_000;
/// A client is forgotten after such a silence; by then its buckets are full again.
const FORGET: Duration = Duration::from_secs(900);

/// All clients that have asked lately.
pub struct Clients {
    requests: Cache<IpAddr, Arc<Mutex<Bucket>>>,
    logins: Cache<IpAddr, Arc<Mutex<Bucket>>>,
}

impl Default for Clients {
    fn default() -> Self {
        let cache = || Cache::builder().max_capacity(MAX_CLIENTS).time_to_idle(FORGET).build();
        Clients { requests: cache(), logins: cache() }
    }
}

/// Tokens that come back with time.
struct Bucket {
    tokens: f64,
    seen: Mono,
    /// That it was emptied is told once.
    told: bool,
}

impl Bucket {
    /// Takes a token, or says how many seconds it takes until there is one.
    fn take(&mut self, per_second: f64, most: f64, now: Mono) -> Result<(), f64> {
        let passed = (now - self.seen).as_secs_f64();
        self.tokens = (self.tokens + passed * per_second).min(most);
        self.seen = now;
        if self.tokens < 1.0 {
            return Err((1.0 - self.tokens) / per_second);
        }
        self.tokens -= 1.0;
        Ok(())
    }
}

/// Too much; seconds until it makes sense to ask again.
#[derive(Debug, PartialEq, Eq)]
pub struct TooMuch(pub u64);

impl Clients {
    /// Counts a request. Programs of this machine itself are not limited.
    pub fn request(&self, asker: Asker, limit: &RateLimit, clock: &dyn Clock) -> Result<(), TooMuch> {
        let Some(address) = asker.address.filter(|address| !address.is_loopback()) else { return Ok(()) };
        if limit.requests <= 0.0 {
            return Ok(());
        }
        let most = f64::from(limit.burst).max(1.0);
        let refused = take(&self.requests, address, limit.requests, most, clock);
        if let Err((_, first)) = refused {
            metrics::counter!("lunabot_http_limited_total").increment(1);
            if first {
                tracing::warn!("{address} asks more than www.rate_limit allows; it is told to wait");
            }
        }
        refused.map_err(|(wait, _)| wait)
    }

    /// Counts a try to log in, as if it will fail; [`Clients::logged_in`] takes it back.
    pub fn login(&self, asker: Asker, limit: &RateLimit, clock: &dyn Clock) -> Result<(), TooMuch> {
        let most = f64::from(limit.logins);
        if most < 1.0 {
            return Ok(());
        }
        let address = asker.address.unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED));
        let refused = take(&self.logins, address, most / 60.0, most, clock);
        if let Err((_, true)) = refused {
            tracing::warn!("{address} has failed to log in too often; it is told to wait");
        }
        refused.map_err(|(wait, _)| wait)
    }

    /// The try succeeded.
    pub fn logged_in(&self, asker: Asker) {
        let address = asker.address.unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED));
        if let Some(bucket) = self.logins.get(&network(address)) {
            bucket.lock().unwrap_or_else(PoisonError::into_inner).tokens += 1.0;
        }
    }
}

/// The error says also whether it is the first refusal in a row.
fn take(
    buckets: &Cache<IpAddr, Arc<Mutex<Bucket>>>,
    address: IpAddr,
    per_second: f64,
    most: f64,
    clock: &dyn Clock,
) -> Result<(), (TooMuch, bool)> {
    let now = clock.mono();
    let full = || Arc::new(Mutex::new(Bucket { tokens: most, seen: now, told: false }));
    let bucket = buckets.get_with(network(address), full);
    let mut bucket = bucket.lock().unwrap_or_else(PoisonError::into_inner);
    match bucket.take(per_second, most, now) {
        Ok(()) => {
            bucket.told = false;
            Ok(())
        }
        Err(seconds) => {
            let first = !std::mem::replace(&mut bucket.told, true);
            // At least one second, at most what fits.
            Err((TooMuch(seconds.ceil().clamp(1.0, 3600.0) as u64), first))
        }
    }
}

/// Whoever has an IPv6 address has 2^64 of them.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
        v4 => v4,
    }
}
