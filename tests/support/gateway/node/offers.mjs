// The offers of the conformance servers, read from tests/cases/conformance/offers.json.
import { readFileSync } from "node:fs";

export const { tools, prompts, resources, templates } = JSON.parse(readFileSync(process.env.OFFERS, "utf8"));

/** A JSON value with `{name}` in its texts replaced by what `values` has for it. */
export function filled(value, values) {
  if (typeof value === "string") return value.replace(/\{(\w+)\}/g, (whole, name) => values?.[name] ?? whole);
  if (Array.isArray(value)) return value.map((one) => filled(one, values));
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, filled(one, values)]));
}

export const says = (text) => ({ content: [{ type: "text", text }] });

/** The contents of a resource; undefined for one that is not there. */
export function contents(uri) {
  const { text, blob, mimeType } = resources.find((one) => one.uri === uri) ?? templated(uri) ?? {};
  if (mimeType) return { contents: [{ uri, mimeType, ...(blob ? { blob } : { text }) }] };
}

function templated(uri) {
  for (const template of templates) {
    const [before, after] = template.uriTemplate.split("{id}");
    const id = uri.slice(before.length, uri.length - after.length);
    if (id && uri === before + id + after) return filled(template, { id });
  }
}

/** The fields of an offer that clients see. */
export const listed = ({ does, text, blob, ...seen }) => seen;

export const pause = () => new Promise((resolve) => setTimeout(resolve, 50));
