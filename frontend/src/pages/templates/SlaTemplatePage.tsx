export { SlaTemplatePage as default } from "./TemplatePage";
