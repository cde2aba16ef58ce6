// What the OpenAPI description says, as a page.
const main = document.getElementById("addresses");

function add(parent, kind, text = "") {
  const element = document.createElement(kind);
  element.textContent = text;
  parent.append(element);
  return element;
}

async function show() {
  const answer = await fetch("/openapi.json");
  const description = await answer.json();
  main.replaceChildren();
  if (!answer.ok) return add(main, "p", description.error);
  for (const [path, methods] of Object.entries(description.paths)) {
    for (const [method, one] of Object.entries(methods)) {
      const section = add(main, "section");
      add(section, "h2", `${method.toUpperCase()} ${path}`);
      add(section, "p", one.summary || "");
      const parts = add(section, "ul");
      for (const given of one.parameters || []) {
        const values = given.schema?.enum ? `: ${given.schema.enum.join(", ")}` : "";
        add(parts, "li", `${given.name} (${given.in})${values} ${given.description || ""}`);
      }
      for (const kind of Object.keys(one.requestBody?.content || {})) add(parts, "li", `body: ${kind}`);
    }
  }
}

show();
