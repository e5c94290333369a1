//! XML documents as tables: `{name = "a", attrs = {k = "v"}, text = "…", child, child, …}`.

use crate::origin::raise;
use crate::state::Shared;
use mlua::{Lua, LuaString, Table};
use roxmltree::{Document, Node, NodeType, ParsingOptions};

/// Longest document.
const MAX_BYTES: usize = 16 << 20;
/// Elements and texts of one document.
const MAX_NODES: u32 = 1_000_000;
/// Elements inside elements.
const MAX_DEPTH: usize = 200;

pub(super) fn add(lua: &Lua, util: &Table) -> mlua::Result<()> {
    util.raw_set(
        "parse_xml",
        lua.create_function(|lua, text: LuaString| {
            read(lua, &text.as_bytes()).map_err(|fault| raise(lua, format!("util.parse_xml: {fault}")))
        })?,
    )?;
    util.raw_set(
        "load_xml",
        lua.create_function(|lua, file: String| {
            let bytes = Shared::of(lua).read_file(&file);
            let bytes = bytes.map_err(|error| raise(lua, format!("{file}: {error}")))?;
            read(lua, &bytes).map_err(|fault| raise(lua, format!("{file}: {fault}")))
        })?,
    )
}

/// The root element; the error begins with its line where that is known.
fn read(lua: &Lua, bytes: &[u8]) -> Result<Table, String> {
    if bytes.len() > MAX_BYTES {
        return Err(format!("longer than {MAX_BYTES} bytes"));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| "not UTF-8")?;
    // Neither entities nor anything from elsewhere.
    let options = ParsingOptions { nodes_limit: MAX_NODES, ..ParsingOptions::default() };
    let document = Document::parse_with_options(text, options)
        .map_err(|error| format!("line {}: {error}", error.pos().row))?;
    let deep = document.descendants().find(|node| node.ancestors().nth(MAX_DEPTH + 1).is_some());
    if let Some(node) = deep {
        let line = document.text_pos_at(node.range().start).row;
        return Err(format!("line {line}: more than {MAX_DEPTH} elements inside each other"));
    }
    element(lua, document.root_element()).map_err(|error| error.to_string())
}

/// No deeper than [`MAX_DEPTH`].
fn element(lua: &Lua, node: Node<'_, '_>) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    table.raw_set("name", node.tag_name().name())?;
    if let Some(namespace) = node.tag_name().namespace() {
        table.raw_set("namespace", namespace)?;
    }
    let attributes = node.attributes().map(|attribute| (attribute.name(), attribute.value()));
    table.raw_set("attrs", lua.create_table_from(attributes)?)?;
    let mut text = String::new();
    for child in node.children() {
        match child.node_type() {
            NodeType::Element => table.raw_push(element(lua, child)?)?,
            NodeType::Text => text.push_str(child.text().unwrap_or_default()),
            NodeType::Comment | NodeType::PI | NodeType::Root => {}
        }
    }
    table.raw_set("text", text)?;
    Ok(table)
}
