import { Fragment, useRef, useState, type KeyboardEvent } from "react";
import type { Leg } from "../../../api/generated";
import { LEG } from "../../../format/words";
import { LegName } from "../../../ui/LegName";
import "../policies.css";

export interface Slot {
  readonly value: number;
  /** Above the column: `02`, `Mon`, `Jan`. */
  readonly label: string;
  /** In a sentence: `at 02:00`, `on Monday`, `in January`. */
  readonly words: string;
}

interface SlotGridProps {
  readonly label: string;
  readonly slots: readonly Slot[];
  readonly legs: readonly Leg[];
  readonly chosen: (leg: Leg) => readonly number[];
  /** Why a leg cannot be chosen; null when it can. */
  readonly refused?: (leg: Leg) => string | null;
  readonly onToggle: (leg: Leg, slot: number) => void;
}

const MOVES: Readonly<Record<string, readonly [number, number]>> = {
  ArrowLeft: [0, -1],
  ArrowRight: [0, 1],
  ArrowUp: [-1, 0],
  ArrowDown: [1, 0],
};

/** Slots of a schedule as rows of switches, a row for each leg. One stop of the Tab key; the arrow keys move inside. */
export function SlotGrid({ label, slots, legs, chosen, refused = () => null, onToggle }: SlotGridProps) {
  const [at, setAt] = useState<readonly [number, number]>([0, 0]);
  const grid = useRef<HTMLDivElement>(null);
  const current = [Math.min(at[0], legs.length - 1), Math.min(at[1], slots.length - 1)] as const;

  function move(event: KeyboardEvent): void {
    const step = MOVES[event.key];
    if (!step) return;
    event.preventDefault();
    const row = (current[0] + step[0] + legs.length) % legs.length;
    const column = (current[1] + step[1] + slots.length) % slots.length;
    setAt([row, column]);
    grid.current?.querySelector<HTMLButtonElement>(`[data-at="${row}.${column}"]`)?.focus();
  }

  return (
    <div className="hf-slots-scroll">
      <div
        ref={grid}
        className="hf-slots"
        data-columns={slots.length}
        style={{ gridTemplateColumns: `max-content repeat(${slots.length}, minmax(var(--hf-slot), 1fr))` }}
        role="group"
        aria-label={label}
        onKeyDown={move}
      >
        <span />
        {slots.map((slot) => (
          <span key={slot.value} className="hf-slots-label" aria-hidden="true">
            {slot.label}
          </span>
        ))}
        {legs.map((leg, row) => {
          const reason = refused(leg);
          return (
            <Fragment key={leg}>
              <span className="hf-slots-name">
                <LegName leg={leg} />
              </span>
              {slots.map((slot, column) => (
                <button
                  key={slot.value}
                  type="button"
                  className="hf-slot"
                  data-leg={leg}
                  data-at={`${row}.${column}`}
                  tabIndex={row === current[0] && column === current[1] ? 0 : -1}
                  aria-pressed={chosen(leg).includes(slot.value)}
                  aria-disabled={reason !== null}
                  aria-label={`${LEG[leg]} ${slot.words}`}
                  title={reason ?? `${LEG[leg]} ${slot.words}`}
                  onFocus={() => setAt([row, column])}
                  onClick={() => reason === null && onToggle(leg, slot.value)}
                />
              ))}
            </Fragment>
          );
        })}
      </div>
    </div>
  );
}
