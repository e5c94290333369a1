//! Properties, statistics, links, texts, test results and build data of a step.

use crate::scripts::args::{Args, Method, NOTHING, Reply, methods, value};
use crate::step::{NewTestResult, StepContext};
use lunabot_model::{Arg, Json};

pub(super) static METHODS: &[Method<StepContext>] = methods! {
    "getProperty"("name", "default*") => get_property,
    "hasProperty"("name") => has_property,
    "setProperty"("name", "value*", "source") => set_property,
    "getProperties"() => get_properties,
    "render"("value*") => render,
    "getStatistic"("name", "default*") => get_statistic,
    "hasStatistic"("name") => has_statistic,
    "setStatistic"("name", "value*") => set_statistic,
    "getStatistics"() => get_statistics,
    "setProgress"("metric", "value") => set_progress,
    "updateSummary"() => update_summary,
    "setBuildData"("name", "value", "source") => set_build_data,
    "addTestResultSet"("description", "category", "value_unit") => add_test_result_set,
    "addTestResult"("setid", "value", "test_name", "test_code_path", "line", "duration_ns") => add_test_result,
    "workerVersion"("command", "oldversion") => worker_version,
    "workerVersionIsOlderThan"("command", "minversion") => worker_version_is_older_than,
    "checkWorkerHasCommand"("command") => check_worker_has_command,
};

/// What steps have that are shown for others too.
pub(super) static LINKS: &[Method<StepContext>] = methods! { "addURL"("name", "url") => add_url, };

async fn get_property(cx: &StepContext, mut args: Args) -> Reply {
    let found = cx.get_property(&args.text("name")?);
    value(match found {
        Some(found) => found,
        None => args.maybe::<Json>("default")?.unwrap_or_default(),
    })
}

async fn has_property(cx: &StepContext, mut args: Args) -> Reply {
    value(cx.get_property(&args.text("name")?).is_some())
}

async fn set_property(cx: &StepContext, mut args: Args) -> Reply {
    let (name, new) = (args.text("name")?, args.value("value")?);
    let source = args.maybe::<String>("source")?.unwrap_or_else(|| "Unknown".into());
    cx.try_set_property(&name, new, &source)?;
    Ok(NOTHING)
}

async fn get_properties(cx: &StepContext, _: Args) -> Reply {
    Ok(cx.properties_arg())
}

async fn render(cx: &StepContext, mut args: Args) -> Reply {
    value(cx.render(&args.maybe::<Json>("value")?.unwrap_or_default()).await?)
}

async fn get_statistic(cx: &StepContext, mut args: Args) -> Reply {
    let found = cx.get_statistic(&args.text("name")?);
    value(match found {
        Some(found) => found,
        None => args.maybe::<Json>("default")?.unwrap_or_default(),
    })
}

async fn has_statistic(cx: &StepContext, mut args: Args) -> Reply {
    value(cx.get_statistic(&args.text("name")?).is_some())
}

async fn set_statistic(cx: &StepContext, mut args: Args) -> Reply {
    let (name, new) = (args.text("name")?, args.need::<Json>("value")?);
    if new.is_object() {
        let wanted = "expected a number, a text, true or false, or a list of these";
        return Err(args.wrong(&format!("value: {wanted}, got {}", cx.shown(&new))));
    }
    cx.set_statistic(&name, new);
    Ok(NOTHING)
}

async fn get_statistics(cx: &StepContext, _: Args) -> Reply {
    value(cx.0.build.statistics().of(cx.name()))
}

async fn set_progress(cx: &StepContext, mut args: Args) -> Reply {
    let metric = args.text("metric")?;
    cx.set_progress(&metric, args.need("value")?)?;
    Ok(NOTHING)
}

async fn add_url(cx: &StepContext, mut args: Args) -> Reply {
    let (name, url) = (args.text("name")?, args.text("url")?);
    cx.add_url(&name, &url).await?;
    Ok(NOTHING)
}

async fn update_summary(cx: &StepContext, _: Args) -> Reply {
    cx.0.summary_changed.notify_one();
    Ok(NOTHING)
}

async fn set_build_data(cx: &StepContext, mut args: Args) -> Reply {
    let (name, bytes) = (args.text("name")?, args.bytes("value")?);
    let source = args.maybe::<String>("source")?.unwrap_or_else(|| cx.name().to_string());
    cx.set_build_data(&name, bytes, &source).await?;
    Ok(NOTHING)
}

async fn add_test_result_set(cx: &StepContext, mut args: Args) -> Reply {
    let (description, category) = (args.text("description")?, args.text("category")?);
    value(cx.add_test_result_set(&description, &category, &args.text("value_unit")?).await?)
}

async fn add_test_result(cx: &StepContext, mut args: Args) -> Reply {
    let set: i64 = args.need("setid")?;
    let result = match args.need::<Json>("value")? {
        Json::String(text) => text,
        other => other.to_string(),
    };
    let new = NewTestResult {
        value: result,
        test_name: args.maybe("test_name")?,
        test_code_path: args.maybe("test_code_path")?,
        line: args.maybe("line")?,
        duration_ns: args.maybe("duration_ns")?,
    };
    cx.add_test_result(set, new).await?;
    Ok(NOTHING)
}

async fn worker_version(cx: &StepContext, mut args: Args) -> Reply {
    let version = cx.worker_version(&args.text("command")?).map(str::to_string);
    value(version.or(args.maybe("oldversion")?).map_or(Json::Null, Json::from))
}

/// Unknown commands are older than anything.
async fn worker_version_is_older_than(cx: &StepContext, mut args: Args) -> Reply {
    let (command, wanted) = (args.text("command")?, args.text("minversion")?);
    let numbers =
        |version: &str| -> Vec<u64> { version.split('.').map(|part| part.parse().unwrap_or(0)).collect() };
    let older = cx.worker_version(&command).is_none_or(|known| numbers(known) < numbers(&wanted));
    Ok(Arg::Value(older.into()))
}

async fn check_worker_has_command(cx: &StepContext, mut args: Args) -> Reply {
    cx.check_worker_has_command(&args.text("command")?)?;
    Ok(NOTHING)
}
