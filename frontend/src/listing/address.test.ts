import { describe, expect, it } from "vitest";
import { readView, writeView, type ListShape } from "./address";

type Field = "NAME" | "CREATED_AT";
const shape: ListShape<Field> = { fields: ["NAME", "CREATED_AT"], sort: "CREATED_AT", descending: true, choices: ["state", "kind"] };

describe("a list's address", () => {
  it("gives back what was written", () => {
    const view = { search: "web & db", choices: { state: "ERROR" }, sort: "NAME" as const, descending: false, page: 3 };
    const text = writeView(new URLSearchParams("tab=log"), view, shape).toString();
    expect(readView(new URLSearchParams(text), shape)).toEqual(view);
    expect(new URLSearchParams(text).get("tab")).toBe("log");
  });

  it("stays short while everything is as by default", () => {
    const view = readView(new URLSearchParams(""), shape);
    expect(view).toEqual({ search: "", choices: {}, sort: "CREATED_AT", descending: true, page: 1 });
    expect(writeView(new URLSearchParams("page=2&search=x"), view, shape).toString()).toBe("");
  });

  it("ignores what makes no sense", () => {
    const view = readView(new URLSearchParams("sort=owner:desc&page=-4&state="), shape);
    expect(view).toEqual({ search: "", choices: {}, sort: "CREATED_AT", descending: true, page: 1 });
    expect(readView(new URLSearchParams("page=1.5"), shape).page).toBe(1);
  });
});
