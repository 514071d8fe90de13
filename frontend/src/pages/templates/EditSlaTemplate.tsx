export { EditSlaTemplate as default } from "./EditTemplate";
