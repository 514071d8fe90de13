export { StorageTemplatePage as default } from "./TemplatePage";
