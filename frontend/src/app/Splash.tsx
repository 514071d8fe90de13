import type { ReactNode } from "react";
import logo from "./logo.svg";

/** Shown while the console itself is on its way. */
export function Splash({ text, children }: { text?: string; children?: ReactNode }) {
  return (
    <div className="hf-sign-in" role="status" aria-label={text ?? "Loading"}>
      <Brand />
      {text && <p>{text}</p>}
      {children}
    </div>
  );
}

export function Brand() {
  return (
    <div className="hf-brand">
      <img src={logo} alt="" />
      <span>Holdfast</span>
    </div>
  );
}
