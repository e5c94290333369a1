//! Locks that are computed (reference 05.062).

use lunabot_model::locks::{self, LockUse};
use lunabot_model::render::{RenderContext, render};
use lunabot_model::{Callback, Json};

/// Reads an option `locks`, which may be a function of the properties or hold renderables. The error says what is wrong.
pub(crate) async fn rendered(option: Option<&Json>, cx: &dyn RenderContext) -> Result<Vec<LockUse>, String> {
    let Some(option) = option else { return Ok(Vec::new()) };
    if !locks::is_computed(option) {
        return locks::uses(option);
    }
    let told = match Callback::from_json(option) {
        Some(function) => cx.call(&function, true, Vec::new()).await.map_err(|error| error.to_string())?,
        None => option.clone(),
    };
    let value = render(&told, cx).await.map_err(|error| error.to_string())?;
    locks::uses(&value).map_err(|text| match Callback::first_in(option) {
        Some(function) => {
            cx.nonsense(&function, &text);
            function.placed(&text)
        }
        None => text,
    })
}
