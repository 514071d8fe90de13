import logo from "./logo.svg";

/** Shown while the console itself is on its way. */
export function Splash({ text }: { text?: string }) {
  return (
    <div className="hf-sign-in" role="status" aria-label={text ?? "Loading"}>
      <Brand />
      {text && <p>{text}</p>}
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
