import Box from "@cloudscape-design/components/box";
import { FREQUENCIES, frequencyName } from "../../format/calendar";
import { FlagBadges } from "../../ui/FlagBadges";

/** What the letters at restore points mean. */
export function FlagLegend() {
  return (
    <Box color="text-body-secondary" fontSize="body-s">
      <div className="hf-legend-row">
        {FREQUENCIES.map((frequency) => (
          <span key={frequency}>
            <FlagBadges flags={[frequency]} /> {frequencyName(frequency).toLowerCase()}
          </span>
        ))}
        <span>A restore point stays as long as it carries one of the letters.</span>
      </div>
    </Box>
  );
}
