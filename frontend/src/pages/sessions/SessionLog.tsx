import { useLayoutEffect, useMemo, useRef, useState } from "react";
import Box from "@cloudscape-design/components/box";
import Button from "@cloudscape-design/components/button";
import Container from "@cloudscape-design/components/container";
import Header from "@cloudscape-design/components/header";
import SegmentedControl from "@cloudscape-design/components/segmented-control";
import SpaceBetween from "@cloudscape-design/components/space-between";
import StatusIndicator from "@cloudscape-design/components/status-indicator";
import Toggle from "@cloudscape-design/components/toggle";
import type { Level } from "../../api/generated";
import type { LiveState } from "../../api/resume";
import { clock, utc } from "../../format/time";
import { saveText } from "../../ui/saveText";
import { useSessionLog, type LogLine } from "./useSessionLog";

/** Lines kept in the page; a longer log is whole in the download. */
const SHOWN_LINES = 2_000;
const MARK: Record<Level, string> = { INFO: "·", SUCCESS: "✓", WARNING: "!", ERROR: "✕" };
const LEVEL_WORD: Record<Level, string> = { INFO: "", SUCCESS: "Success: ", WARNING: "Warning: ", ERROR: "Error: " };

export function SessionLog({ sessionId, name }: { sessionId: string; name: string }) {
  const { lines, state } = useSessionLog(sessionId);
  const [level, setLevel] = useState("all");
  const [following, setFollowing] = useState(true);
  const pane = useRef<HTMLDivElement>(null);
  const wanted = useMemo(() => lines.filter((line) => shows(level, line.level)), [level, lines]);
  const shown = wanted.slice(-SHOWN_LINES);

  useLayoutEffect(() => {
    if (following && pane.current) pane.current.scrollTop = pane.current.scrollHeight;
  }, [following, shown.length]);

  return (
    <Container
      header={
        <Header
          variant="h2"
          counter={`(${lines.length.toLocaleString("en-US")})`}
          description={<Connection state={state} />}
          actions={
            <SpaceBetween direction="horizontal" size="m" alignItems="center">
              <Toggle checked={following} onChange={({ detail }) => setFollowing(detail.checked)}>
                Follow
              </Toggle>
              <SegmentedControl
                label="Lines to show"
                selectedId={level}
                onChange={({ detail }) => setLevel(detail.selectedId)}
                options={[
                  { id: "all", text: "All" },
                  { id: "warnings", text: "Warnings and errors" },
                  { id: "errors", text: "Errors" },
                ]}
              />
              <Button iconName="download" ariaLabel="Download the log as text" onClick={() => download(lines, name)} disabled={lines.length === 0} />
            </SpaceBetween>
          }
        >
          Log
        </Header>
      }
    >
      <SpaceBetween size="xs">
        {wanted.length > shown.length && (
          <Box color="text-body-secondary">The newest {SHOWN_LINES.toLocaleString("en-US")} lines are shown; the download has all.</Box>
        )}
        <div
          className="hf-log"
          ref={pane}
          role="log"
          aria-label={`Log of ${name}`}
          tabIndex={0}
          onScroll={(event) => {
            const { scrollHeight, scrollTop, clientHeight } = event.currentTarget;
            setFollowing(scrollHeight - scrollTop - clientHeight < 24);
          }}
        >
          {shown.map((line) => (
            <Line key={line.number} line={line} />
          ))}
          {shown.length === 0 && (
            <Box color="text-body-secondary" padding={{ horizontal: "m" }}>
              {lines.length > 0 ? "No such line." : state === "ended" ? "The log is empty." : "Waiting for the first line…"}
            </Box>
          )}
        </div>
      </SpaceBetween>
    </Container>
  );
}

function Line({ line }: { line: LogLine }) {
  return (
    <div className={`hf-log-line hf-log-${line.level.toLowerCase()}`} data-number={line.number}>
      <time dateTime={line.at} title={utc(line.at)}>
        {clock(line.at)}
      </time>
      <span className="hf-log-mark" aria-hidden="true">
        {MARK[line.level]}
      </span>
      <span className="hf-log-text" aria-label={LEVEL_WORD[line.level] ? `${LEVEL_WORD[line.level]}${line.message}` : undefined}>
        {line.message}
      </span>
    </div>
  );
}

function Connection({ state }: { state: LiveState }) {
  switch (state) {
    case "ended":
      return <>Complete.</>;
    case "live":
      return <StatusIndicator type="in-progress">Live</StatusIndicator>;
    case "failed":
      return <StatusIndicator type="error">The log cannot be read.</StatusIndicator>;
    case "reconnecting":
      return <StatusIndicator type="warning">Connection lost; it goes on where it stopped as soon as it is back.</StatusIndicator>;
    case "connecting":
      return <StatusIndicator type="loading">Connecting</StatusIndicator>;
  }
}

function shows(choice: string, level: Level): boolean {
  if (choice === "errors") return level === "ERROR";
  if (choice === "warnings") return level === "WARNING" || level === "ERROR";
  return true;
}

function download(lines: readonly LogLine[], name: string): void {
  saveText(`${name}.log`, lines.map((line) => `${line.at}\t${line.level}\t${line.message}\n`).join(""));
}
