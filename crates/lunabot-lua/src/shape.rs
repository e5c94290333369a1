//! What an option wants, read out of its JSON schema: guides the conversion of Lua values (lua-api § 1, "Values").

use lunabot_model::{Json, Kind};

/// Nesting of schemas that is followed; deeper (or circular) parts count as free JSON.
const MAX_DEPTH: usize = 12;

/// The field of a table with names that its items 1…n are, where it may have some.
pub(crate) const ITEMS: &str = "*";

/// What one value may be.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Shape {
    pub form: Form,
    /// A renderable is welcome here and inside.
    pub renderable: bool,
    /// What is here is rendered, whatever it is: it may hold plain values and renderables, and no other objects.
    pub rendered: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Form {
    Any,
    Null,
    Bool,
    Integer,
    Number,
    Text {
        regex: bool,
    },
    Choice(Vec<String>),
    /// One of these numbers.
    OneOf(Vec<f64>),
    Duration,
    Callback,
    Object,
    List(Box<Shape>),
    /// Names, and what each holds.
    Map(Box<Shape>),
    /// Whole numbers, and what each holds.
    Numbered(Box<Shape>),
    Struct(Fields),
    Either(Vec<Shape>),
}

/// The options of a table, by name.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Fields {
    pub known: Vec<Field>,
    /// What further names may hold; `None`: there are no further names.
    pub rest: Option<Box<Shape>>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Field {
    pub name: String,
    pub shape: Shape,
    pub default: Option<Json>,
}

impl Fields {
    pub fn get(&self, name: &str) -> Option<&Field> {
        self.known.iter().find(|field| field.name == name)
    }

    pub fn shape(&self, name: &str) -> Option<&Shape> {
        self.get(name).map(|field| &field.shape).or(self.rest.as_deref())
    }

    pub fn names(&self) -> impl Iterator<Item = &str> + Clone {
        self.known.iter().map(|field| field.name.as_str())
    }
}

impl Shape {
    pub const ANY: Shape = Shape { form: Form::Any, renderable: true, rendered: false };

    pub fn plain(form: Form) -> Self {
        Shape { form, renderable: false, rendered: false }
    }

    /// The alternatives, itself if it is only one.
    pub fn choices(&self) -> &[Shape] {
        match &self.form {
            Form::Either(all) => all,
            _ => std::slice::from_ref(self),
        }
    }

    pub fn allows(&self, test: impl Fn(&Form) -> bool) -> bool {
        self.choices().iter().any(|shape| test(&shape.form))
    }

    pub fn allows_null(&self) -> bool {
        self.allows(|form| matches!(form, Form::Any | Form::Null))
    }

    /// In the user's words: `a text or a list of texts`.
    pub fn words(&self) -> String {
        let mut words: Vec<String> = Vec::new();
        for choice in self.choices().iter().filter(|shape| shape.form != Form::Null) {
            let word = choice.form.words();
            if !words.contains(&word) {
                words.push(word);
            }
        }
        words.join(" or ")
    }
}

impl Form {
    fn words(&self) -> String {
        let word = match self {
            Form::Any => "a value",
            Form::Null => "util.null",
            Form::Bool => "true or false",
            Form::Integer => "a whole number",
            Form::Number => "a number",
            Form::Text { .. } => "a text",
            Form::Choice(all) => {
                return all.iter().map(|c| format!("{c:?}")).collect::<Vec<_>>().join(" or ");
            }
            Form::OneOf(all) => return all.iter().map(f64::to_string).collect::<Vec<_>>().join(" or "),
            Form::Duration => "seconds or a text such as \"1h 30m\"",
            Form::Callback => "a function",
            Form::Object => "an object",
            Form::List(item) => return format!("a list of {}", plural(&item.words())),
            Form::Struct(fields) if fields.get(ITEMS).is_some() => "a table of items and names",
            Form::Map(_) | Form::Struct(_) => "a table with names",
            Form::Numbered(_) => "a table [number] = value",
            Form::Either(_) => "a value of another type",
        };
        word.to_string()
    }
}

fn plural(words: &str) -> String {
    match words {
        "a value" => "values".into(),
        "true or false" => "booleans".into(),
        "a text" => "texts".into(),
        "a number" => "numbers".into(),
        "a whole number" => "whole numbers".into(),
        "an object" => "objects".into(),
        "a function" => "functions".into(),
        other => format!("items, each {other}"),
    }
}

/// The options of a kind.
pub(crate) fn fields_of(kind: &Kind) -> Fields {
    fields_of_schema((kind.schema)().as_value())
}

/// The options that a schema with `properties` describes.
pub(crate) fn fields_of_schema(schema: &Json) -> Fields {
    let reader = SchemaReader { defs: schema.get("$defs") };
    match reader.shape(schema, 0).form {
        Form::Struct(fields) => fields,
        Form::Map(rest) => Fields { known: Vec::new(), rest: Some(rest) },
        _ => Fields::default(),
    }
}

struct SchemaReader<'a> {
    defs: Option<&'a Json>,
}

impl SchemaReader<'_> {
    fn shape(&self, schema: &Json, depth: usize) -> Shape {
        let mut shape = self.form(schema, depth);
        if schema.get("x-renderable").is_some() {
            (shape.renderable, shape.rendered) = (true, true);
        }
        shape
    }

    fn form(&self, schema: &Json, depth: usize) -> Shape {
        let Some(map) = schema.as_object().filter(|_| depth < MAX_DEPTH) else {
            return Shape::ANY;
        };
        for (mark, form) in
            [("x-callback", Form::Callback), ("x-object", Form::Object), ("x-duration", Form::Duration)]
        {
            if map.contains_key(mark) {
                return Shape::plain(form);
            }
        }
        if let Some(name) = map.get("$ref").and_then(Json::as_str) {
            let target = self.defs.and_then(|defs| defs.get(name.rsplit('/').next().unwrap_or(name)));
            return target.map_or(Shape::ANY, |target| self.shape(target, depth + 1));
        }
        if let Some(all) = ["anyOf", "oneOf"].iter().find_map(|key| map.get(*key)?.as_array()) {
            return either(all.iter().map(|one| self.shape(one, depth + 1)).collect());
        }
        self.typed(schema, depth)
    }

    fn typed(&self, schema: &Json, depth: usize) -> Shape {
        if let Some(choices) = schema.get("enum").and_then(Json::as_array) {
            let texts = choices.iter().filter_map(|c| c.as_str().map(str::to_string)).collect();
            let mut all = vec![Shape::plain(Form::Choice(texts))];
            all.extend(choices.iter().any(Json::is_null).then(|| Shape::plain(Form::Null)));
            return either(all);
        }
        if let Some(text) = schema.get("const").and_then(Json::as_str) {
            return Shape::plain(Form::Choice(vec![text.to_string()]));
        }
        match schema.get("type") {
            Some(Json::String(one)) => self.of_type(one, schema, depth),
            Some(Json::Array(several)) => {
                let names = several.iter().filter_map(Json::as_str);
                either(names.map(|name| self.of_type(name, schema, depth)).collect())
            }
            _ if schema.get("properties").is_some() => self.of_type("object", schema, depth),
            _ => Shape::ANY,
        }
    }

    fn of_type(&self, name: &str, schema: &Json, depth: usize) -> Shape {
        Shape::plain(match name {
            "null" => Form::Null,
            "boolean" => Form::Bool,
            "integer" => Form::Integer,
            "number" => Form::Number,
            "string" => Form::Text { regex: schema.get("x-regex").is_some() },
            "array" => {
                let item = schema.get("items").map_or(Shape::ANY, |item| self.shape(item, depth + 1));
                Form::List(Box::new(item))
            }
            "object" => self.object(schema, depth),
            _ => Form::Any,
        })
    }

    fn object(&self, schema: &Json, depth: usize) -> Form {
        let pattern = schema.get("patternProperties").and_then(Json::as_object);
        let rest = match pattern.and_then(|all| all.values().next()).or(schema.get("additionalProperties")) {
            Some(Json::Bool(false)) => None,
            Some(Json::Bool(true)) => Some(Box::new(Shape::ANY)),
            Some(inner) => Some(Box::new(self.shape(inner, depth + 1))),
            None if schema.get("properties").is_none() => Some(Box::new(Shape::ANY)),
            None => None,
        };
        let Some(properties) = schema.get("properties").and_then(Json::as_object) else {
            let numbers = pattern.is_some_and(|all| all.keys().any(|key| key.contains(r"\d")));
            let map = if numbers { Form::Numbered } else { Form::Map };
            return rest.map_or(Form::Struct(Fields::default()), map);
        };
        let field = |(name, inner): (&String, &Json)| {
            let shape = self.shape(inner, depth + 1);
            let shape = if holds_patterns(name) { of_patterns(shape) } else { shape };
            let shape =
                if HOLD_VALUES.contains(&name.as_str()) { Shape { rendered: true, ..shape } } else { shape };
            Field { name: name.clone(), shape, default: inner.get("default").cloned() }
        };
        Form::Struct(Fields { known: properties.iter().map(field).collect(), rest })
    }
}

/// Options with values of properties are called so, everywhere.
pub(crate) const HOLD_VALUES: [&str; 4] =
    ["properties", "defaultProperties", "default_properties", "set_properties"];

/// Options with regular expressions are called so, everywhere.
fn holds_patterns(option: &str) -> bool {
    let ends = |end: &str| option.ends_with(end);
    ends("_re") || ends("Pattern") || ends("_pattern") || option == "pattern" || option == "regex"
}

/// The same with regular expressions for texts.
fn of_patterns(shape: Shape) -> Shape {
    let inner = |shape: Box<Shape>| Box::new(of_patterns(*shape));
    let form = match shape.form {
        Form::Text { .. } => Form::Text { regex: true },
        Form::List(item) => Form::List(inner(item)),
        Form::Map(item) => Form::Map(inner(item)),
        Form::Either(all) => Form::Either(all.into_iter().map(of_patterns).collect()),
        other => other,
    };
    Shape { form, ..shape }
}

fn either(shapes: Vec<Shape>) -> Shape {
    let mut all: Vec<Shape> = Vec::new();
    let renderable = shapes.iter().any(|shape| shape.renderable && shape.form != Form::Any);
    let rendered = shapes.iter().any(|shape| shape.rendered);
    for shape in shapes {
        match shape.form {
            Form::Either(inner) => all.extend(inner),
            _ => all.push(shape),
        }
    }
    if all.iter().any(|shape| shape.form == Form::Any) {
        return Shape { rendered, ..Shape::ANY };
    }
    if all.len() == 1 {
        return all.remove(0);
    }
    Shape { form: Form::Either(all), renderable, rendered }
}
