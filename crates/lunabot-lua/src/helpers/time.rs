//! The date and its spelling.

use super::arg;
use crate::origin::raise;
use crate::state::Shared;
use jiff::{Timestamp, ZonedDateTime, tz::TimeZone};
use mlua::{Lua, Table, Value};

pub(super) fn add(lua: &Lua, util: &Table) -> mlua::Result<()> {
    util.raw_set("now", lua.create_function(now)?)?;
    util.raw_set("format_time", lua.create_function(format_time)?)?;
    util.raw_set("parse_date", lua.create_function(parse_date)?)
}

fn zone(lua: &Lua, name: Option<&str>) -> mlua::Result<TimeZone> {
    match name {
        None => Ok(TimeZone::system()),
        Some(name) => TimeZone::get(name).map_err(|_| {
            raise(lua, format!("unknown time zone {name}; write one such as \"Europe/Berlin\""))
        }),
    }
}

fn at(lua: &Lua, seconds: f64, tz: TimeZone) -> mlua::Result<ZonedDateTime> {
    let micros = (seconds * 1e6).round();
    let stamp = Timestamp::from_microsecond(micros as i64);
    let told = || format!("{seconds} seconds since 1970 are in no year from -9999 to 9999");
    let stamp = stamp.map_err(|_| raise(lua, told()))?;
    Ok(stamp.to_zoned_datetime(tz))
}

/// `util.now{tz=}`; Monday is 0.
fn now(lua: &Lua, options: Value) -> mlua::Result<Table> {
    let options: Option<Table> =
        arg(lua, options, "util.now takes a table: util.now{tz = \"Europe/Berlin\"}")?;
    let name: Option<String> = options.map(|table| table.raw_get("tz")).transpose()?.flatten();
    let epoch = Shared::of(lua).options.clock.now().secs_f64();
    let time = at(lua, epoch, zone(lua, name.as_deref())?)?;
    let parts = [
        ("year", i64::from(time.year())),
        ("month", i64::from(time.month())),
        ("day", i64::from(time.day())),
        ("hour", i64::from(time.hour())),
        ("min", i64::from(time.minute())),
        ("sec", i64::from(time.second())),
        ("wday", i64::from(time.weekday().to_monday_zero_offset())),
        ("offset", i64::from(time.offset().seconds())),
    ];
    let table = lua.create_table_from(parts)?;
    table.raw_set("epoch", epoch)?;
    Ok(table)
}

fn format_time(lua: &Lua, (epoch, format, tz): (Value, Value, Value)) -> mlua::Result<String> {
    let epoch: f64 = arg(lua, epoch, "util.format_time takes seconds since 1970 first")?;
    let format: String = arg(lua, format, "util.format_time takes a text such as \"%Y-%m-%d\" second")?;
    let tz: Option<String> =
        arg(lua, tz, "util.format_time takes a time zone such as \"Europe/Berlin\" third")?;
    let time = at(lua, epoch, zone(lua, tz.as_deref())?)?;
    jiff::fmt::strtime::format(&format, &time).map_err(|error| raise(lua, error))
}

/// Seconds since 1970 of a date in the forms of ISO 8601 and of mail, or in a given one.
fn parse_date(lua: &Lua, (text, format): (Value, Value)) -> mlua::Result<Value> {
    let text: String = arg(lua, text, "util.parse_date takes a text first")?;
    let format: Option<String> =
        arg(lua, format, "util.parse_date takes a text such as \"%Y-%m-%d\" second")?;
    let seconds = |stamp: Timestamp| stamp.as_microsecond() as f64 / 1e6;
    if let Some(format) = format {
        let time = jiff::fmt::strtime::parse(&format, &text);
        let zoned = time.and_then(|time| {
            time.to_timestamp()
                .or_else(|_| Ok(time.to_datetime()?.to_zoned_datetime(TimeZone::system())?.timestamp()))
        });
        return zoned.map(|stamp| Value::Number(seconds(stamp))).map_err(|error| raise(lua, error));
    }
    let local = || text.parse::<jiff::civil::DateTime>().ok()?.to_zoned_datetime(TimeZone::system()).ok();
    let found = text
        .parse::<Timestamp>()
        .ok()
        .or_else(|| jiff::fmt::rfc2822::parse(&text).ok().map(|zoned| zoned.timestamp()))
        .or_else(|| local().map(|zoned| zoned.timestamp()));
    let message = || format!("not a date: {text:?}; write 2026-12-31T23:59:59Z, or give its form");
    found.map(|stamp| Value::Number(seconds(stamp))).ok_or_else(|| raise(lua, message()))
}
